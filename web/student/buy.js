// Buying a track: the payment form, and what to show instead if the student has paid or started to pay.
import { explain, Problem, SessionExpired } from "../shared/api.js";
import { action, h, icon, loading, note, show } from "../shared/dom.js";
import { moment, money } from "../shared/format.js";
import * as api from "./api.js";
import { followPayment } from "./confirmation.js";
import { orderSummary } from "./order_summary.js";
import { confirmWithBank, PaymentDeclined, payOnPage, payWithCheckout, readInterrupted } from "./pay.js";
import { buildPaymentForm } from "./payment_form.js";
import { describe } from "./payment_state.js";
import { loadStripe, StripeNotLoaded } from "./stripe.js";

/**
 * The view `#/buy/DP`. `arrival` tells how the student came back from Stripe: `{canceled: true}` from Checkout without
 * paying, `{paid: id, refused}` after paying or trying to.
 */
export async function buyView(context, id, arrival = {}) {
  const { main } = context;
  const track = await api.getTrack(id);
  if (!track) showNotSold(main);
  else if (arrival.paid) await follow(context, track, arrival.paid, arrival.refused ? 0 : undefined);
  else await showCurrentState(context, track, arrival);
}

function showNotSold(main) {
  const text = "We don’t sell this track. Your enrollments and payments are under My learning and My payments.";
  const links = [["#/", "Browse tracks"], ["#/learning", "My learning"], ["#/payments", "My payments"]];
  const items = links.map(([href, name]) => h("a", { class: "button quiet", href }, name));
  show(main, "Track not found", h("p", {}, text), h("p", { class: "row" }, ...items));
}

/** The view `#/paid/cs_…`, where a Checkout leads that was not opened by this page. */
export async function paidView(context, id) {
  const { track } = await api.getPayment(id);
  await buyView(context, track, { paid: id });
}

/** Show the enrollment or the payment in progress, if there is one; the payment form otherwise. */
async function showCurrentState(context, track, options = {}) {
  show(context.main, track.title, loading("Loading…"));
  const [state, savedMethods] = await Promise.all([
    api.getTrackState(track.track),
    api.listSavedMethodsIfAvailable(),
  ]);
  if (context.signal.aborted) return;
  const { actions, sentence } = describe(state);
  const payment = state.enrollment?.payment;
  if (actions.includes("learn")) showAlreadyEnrolled(context.main, track);
  else if (payment?.verify_by) showVerification(context.main, track, sentence);
  else if (actions.includes("view")) await follow(context, track, payment.payment_id);
  else if (actions.includes("complete")) await showForm(context, track, { savedMethods, openPayment: payment, ...options });
  else if (actions.includes("enroll")) await showForm(context, track, { savedMethods, ...options });
  else showNothingToBuy(context.main, track, sentence);
}

function showAlreadyEnrolled(main, track) {
  show(
    main,
    track.title,
    h(
      "div",
      { class: "panel" },
      note("good", h("p", {}, "You’re already enrolled in this track, so there’s nothing to pay.")),
      h("p", { class: "row" }, h("a", { class: "button", href: "#/learning" }, "Continue learning")),
    ),
  );
}

/** Say how to finish a payment that Stripe can no longer close, so no other can be started. */
function showVerification(main, track, text) {
  const links = h("p", { class: "row" }, h("a", { class: "button quiet", href: "#/payments" }, "See your payments"));
  show(main, track.title, h("div", { class: "panel" }, note("info", h("p", {}, text)), links));
}

/** Say why the student cannot buy this track. If buying is blocked, the API's text also says whom to write to. */
function showNothingToBuy(main, track, text) {
  const links = h("p", { class: "row" }, h("a", { class: "button quiet", href: "#/payments" }, "See your payments"));
  show(main, track.title, h("div", { class: "panel" }, note("bad", h("p", {}, text)), links));
}

/** Follow a payment until it is final. If it failed or was closed, the student can pay again. */
async function follow(context, track, paymentId, failedAfter) {
  const payment = await followPayment(context, track, paymentId, failedAfter);
  if (!payment) return;
  if (payment.status === "REFUNDED") return showCurrentState(context, track);
  const open = api.isOpen(payment);
  const reason =
    payment.failure?.message ??
    (open ? "The payment failed." : "That payment expired before it was completed.");
  const problem = `${reason} You haven’t been charged. Try again, or choose another way to pay.`;
  if (!open) return showCurrentState(context, track, { problem });
  const savedMethods = await api.listSavedMethodsIfAvailable();
  return showForm(context, track, { savedMethods, openPayment: payment, problem });
}

/** The payment form. It resumes `openPayment`, an unpaid payment that was started before. */
async function showForm(context, track, { savedMethods, openPayment, canceled, problem }) {
  const { main, config } = context;
  const { payment_method_types: types, refund_window_days: refundDays, consumer_region: region } = await api.getCatalog();
  const started = openPayment?.resume ?? undefined;
  const discounted = discountedAmount(openPayment, track);
  const order = orderSummary(track, refundDays, region);
  const form = buildPaymentForm({
    ...{ track, savedMethods, config, started, types, discounted },
    onAmount: order.showAmount,
  });
  const message = problem ? note("bad", h("p", {}, problem)) : openPaymentNote(openPayment, canceled, discounted);
  const columns = h("div", { class: "columns" }, h("div", { class: "panel" }, form.element), order.element);
  show(main, `Enroll in ${track.title}`, message, columns);
  form.onSubmit((choice) => pay(context, track, form, choice));
  if (started?.kind === "intent" && openPayment.status === "CREATED")
    await resume(context, track, form, started, message);
}

/** The amount of an open Checkout session with a promotion code; undefined without one, or after the price has changed. */
function discountedAmount(openPayment, track) {
  if (!openPayment?.resume?.promotion_code) return undefined;
  const { amount, discount } = openPayment;
  return discount > 0 && amount + discount === track.amount ? amount : undefined;
}

function openPaymentNote(openPayment, canceled, discounted) {
  if (!openPayment) return undefined;
  const text = canceled
    ? "You left Stripe’s page before paying. You haven’t been charged."
    : `You started this payment on ${moment(openPayment.created_at)}. It hasn’t been completed, and you haven’t been charged.`;
  return note(
    "info",
    h("p", {}, text),
    openPayment.failure && h("p", {}, `Your last attempt failed: ${openPayment.failure.message}`),
    discounted !== undefined &&
      h(
        "p",
        {},
        `Your promotion code ${openPayment.resume.promotion_code} is applied on Stripe Checkout only: there you pay ` +
          `${money(discounted, openPayment.currency)}.`,
      ),
    h("p", {}, "Pick any way to pay below. You’ll only ever be charged once."),
  );
}

/** Resume a payment that was interrupted: it may be paid already, or need the bank's confirmation. */
async function resume(context, track, form, started, message) {
  try {
    const stripe = await loadStripe(context.config);
    const interrupted = await readInterrupted(stripe, track.track, started);
    if (context.signal.aborted || form.isBusy()) return;
    if (interrupted.paid) await follow(context, track, interrupted.paymentId);
    else if (interrupted.needsAction) {
      const confirm = () => attempt(context, track, form, () => confirmWithBank(stripe, interrupted));
      message.replaceChildren(
        icon("shield"),
        h(
          "div",
          {},
          h("p", {}, "Your bank needs you to confirm this payment."),
          action("Confirm with your bank", confirm),
        ),
      );
    } else if (interrupted.failureMessage) form.showError(interrupted.failureMessage);
  } catch (error) {
    await handleError(context, track, form, error);
  }
}

const pay = (context, track, form, choice) =>
  attempt(context, track, form, async () => {
    if (choice.choice === "checkout") return payWithCheckout(track.track, choice, context.signal);
    const stripe = await loadStripe(context.config);
    return payOnPage(stripe, track.track, choice, context.signal);
  });

/** Run one attempt to pay at a time, and follow the payment that it returns. */
async function attempt(context, track, form, work) {
  if (form.isBusy()) return;
  form.setBusy(true);
  try {
    const paymentId = await work();
    await follow(context, track, paymentId);
  } catch (error) {
    if (error === context.signal.reason) return;
    await handleError(context, track, form, error);
  } finally {
    form.setBusy(false);
  }
}

async function handleError(context, track, form, error) {
  if (error instanceof SessionExpired) throw error;
  if (error instanceof PaymentDeclined || error instanceof StripeNotLoaded) form.showError(error.message, error.field);
  else if (error instanceof Problem && error.type === "already-enrolled") showAlreadyEnrolled(context.main, track);
  else if (error instanceof Problem && ["purchases-blocked", "not-selling"].includes(error.type))
    showNothingToBuy(context.main, track, explain(error));
  else if (error instanceof Problem && error.type === "payment-in-progress") await showCurrentState(context, track);
  else form.showError(explain(error), error.field === "promotion_code" ? "code" : undefined);
}
