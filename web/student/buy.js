// Buying one track: how to pay, paying, and what is open already.
import { explain, Problem, SignedOut } from "../shared/api.js";
import { action, h, icon, note, show, waiting } from "../shared/dom.js";
import { moment, money } from "../shared/format.js";
import * as form from "./form.js";
import { Declined, goOn, interrupted, payAtStripe, payHere } from "./pay.js";
import * as school from "./school.js";
import { settle } from "./settle.js";
import { stripe, StripeNotLoaded } from "./stripe.js";

/** The view of `#/buy/DP`. `from` says how one came: `{left: true}` from Checkout unpaid, `{paid: id, refused}` from Stripe. */
export async function buy(context, id, from = {}) {
  const { main } = context;
  const track = await school.track(id);
  if (!track) {
    show(main, "There is no such track", h("p", {}, h("a", { href: "#/" }, "See the tracks")));
    return;
  }
  if (from.paid) await following(context, track, from.paid, from.refused ? 0 : undefined);
  else await look(context, track, from);
}

/** The view of `#/paid/cs_…`, where a page of Stripe's leads that was not opened from here. */
export async function paid(context, id) {
  const { track } = await school.payment(id);
  await buy(context, track, { paid: id });
}

/** What is open, or done already, comes before anything to pay. */
async function look(context, track, from = {}) {
  show(context.main, track.title, waiting("Loading …"));
  const [mine, open, saved] = await Promise.all([
    school.enrollment(track.track),
    school.openPayment(track.track),
    school.usableMethods(),
  ]);
  if (context.signal.aborted) return;
  if (mine?.status === "ENROLLED") enrolled(context.main, track);
  else if (open?.status === "PROCESSING") await following(context, track, open.payment_id);
  else await offer(context, track, { saved, open, ...from });
}

function enrolled(main, track) {
  show(
    main,
    track.title,
    h(
      "div",
      { class: "panel" },
      note("good", h("p", {}, "You are enrolled in this track already: there is nothing to pay.")),
      h("p", { class: "row" }, h("a", { class: "button", href: "#/learning" }, "Go on learning")),
    ),
  );
}

/** Follow a payment to its end; one that did not go through can be paid again. */
async function following(context, track, paymentId, patience) {
  const payment = await settle(context, track, paymentId, patience);
  if (!payment) return;
  if (payment.status === "REFUNDED") return look(context, track);
  const closed = !school.OPEN.includes(payment.status);
  const why =
    payment.failure?.message ?? (closed ? "That payment was closed unpaid." : "The payment did not go through.");
  const trouble = `${why} Nothing was taken; try again, or pay another way.`;
  if (closed) return look(context, track, { trouble });
  return offer(context, track, { saved: await school.usableMethods(), open: payment, trouble });
}

/** The form. `open`: a payment that was begun and is not paid; the form takes it up. */
async function offer(context, track, { saved, open, left, trouble }) {
  const { main, config } = context;
  const begun = open && kindOf(open, school.begun(track.track));
  const view = form.build({ track, saved, config, begun, types: (await school.tracks()).payment_method_types });
  const ground = h("div", { class: "columns" }, h("div", { class: "panel" }, view.element), summary(track));
  const told = trouble ? note("bad", h("p", {}, trouble)) : opened(open, left);
  show(main, `Enroll in ${track.title}`, told, ground);
  view.onSubmit((wish) => pay(context, track, view, wish));
  if (begun?.here && begun.kind === "intent" && open.status === "CREATED") await takeUp(context, track, view, told);
}

/** How the open payment was begun, as far as can be known: a Checkout that nobody tried to pay has no intent. */
function kindOf(open, begun) {
  if (begun?.payment_id === open.payment_id) return { here: true, ...begun };
  return { kind: open.payment_intent_id ? "intent" : "checkout", wish: {} };
}

function opened(open, left) {
  if (!open) return undefined;
  const first = left
    ? "You came back from Stripe’s page without paying. Nothing was taken."
    : `You began this payment on ${moment(open.created_at)}; it is still open, and nothing was taken.`;
  return note(
    "info",
    h("p", {}, first),
    open.failure && h("p", {}, `The last try did not go through: ${open.failure.message}`),
    h("p", {}, "Go on below, in whichever way you like: you pay once."),
  );
}

/** A payment that was left in the middle: paid already, or with the bank's step still to do. */
async function takeUp(context, track, view, told) {
  try {
    const library = await stripe(context.config);
    const state = await interrupted(library, track.track);
    if (context.signal.aborted || view.working()) return;
    if (state.settled) await following(context, track, state.paymentId);
    else if (state.action) {
      told.replaceChildren(
        icon("shield"),
        h(
          "div",
          {},
          h("p", {}, "Your bank still waits for you to confirm this payment."),
          action("Confirm with your bank", async () => {
            await attempt(context, track, view, () => goOn(library, state));
          }),
        ),
      );
    } else if (state.failed) view.fail(state.failed);
  } catch (error) {
    if (error instanceof SignedOut) throw error;
    await handled(context, track, view, error);
  }
}

const pay = (context, track, view, wish) =>
  attempt(context, track, view, async () => {
    if (wish.way === "checkout") return payAtStripe(track.track, wish, context.signal);
    const library = await stripe(context.config);
    return payHere(library, track.track, wish, context.signal);
  });

/** Do it once, and follow the payment that comes of it. */
async function attempt(context, track, view, work) {
  if (view.working()) return;
  view.busy(true);
  try {
    const paymentId = await work();
    await following(context, track, paymentId);
  } catch (error) {
    if (error === context.signal.reason) return;
    await handled(context, track, view, error);
  } finally {
    view.busy(false);
  }
}

async function handled(context, track, view, error) {
  if (error instanceof Declined || error instanceof StripeNotLoaded) view.fail(error.message, error.field);
  else if (error instanceof Problem && error.type === "already-enrolled") enrolled(context.main, track);
  else if (error instanceof Problem && error.type === "payment-in-progress") await look(context, track);
  else if (error instanceof SignedOut) throw error;
  else view.fail(explain(error), error.field === "promotion_code" ? "code" : undefined);
}

function summary(track) {
  return h(
    "aside",
    { class: "panel summary", "aria-label": "What you buy" },
    h("div", { class: `art art-${school.drawing(track.track)}` }, icon(school.drawing(track.track))),
    h("h2", {}, track.title),
    h(
      "ol",
      { class: "projects" },
      track.projects.map((project) => h("li", {}, project.title)),
    ),
    h(
      "p",
      { class: "row spread total" },
      h("span", {}, "Total"),
      h("span", { class: "price" }, money(track.amount, track.currency)),
    ),
    h("p", { class: "small" }, "One payment, no subscription. You can ask for it back in My payments."),
  );
}
