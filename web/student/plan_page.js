// The page of a payment plan: its schedule, what happens when, and what the student can do.
import { explain, SessionExpired } from "../shared/api.js";
import { action, announce, h, icon, note, show } from "../shared/dom.js";
import { money } from "../shared/format.js";
import * as api from "./api.js";
import { describe } from "./payment_state.js";
import { endings } from "./plan_cancel.js";
import { datesAhead } from "./plan_dates.js";
import { scheduleStrip } from "./plan_schedule.js";
import { describePlan, duePayment, isCurrent, isProcessing, isRevoked } from "./plan_state.js";
import { refundRequestNote, withdrawRequest } from "./refund.js";
import { texts } from "./text.js";
import { withdrawalNote } from "./withdrawal.js";

const words = texts.plan_page;
const ENDED_BY_ITSELF = ["lapsed", "ended"]; // a membership
const SHOWN_OF_ENDLESS = 4;

/**
 * Show a plan. `context` has the `catalog` and the plan's `title`. `message` says what the student has just done, `problem`
 * why it failed. Actions show the plan again with what they changed.
 */
export async function planPage(context, plan, message, problem) {
  const { main, catalog, title } = context;
  const [{ first, refunding }, methods] = await Promise.all([api.readPaymentsOfPlan(plan), api.listSavedMethodsIfAvailable()]);
  const onDone = async (updated, text) => {
    await planPage(context, updated, text);
    if (text) announce(text);
  };
  const isUnverified = plan.status === "OPEN" && first?.verify_by; // the bank account, at Stripe
  const { chip, sentence } = isUnverified ? describe({ payment: first }) : describePlan(plan);
  const [kind, drawing, text] = chip;
  const count = plan.total === null ? undefined : plan.schedule.length;
  const isAsked = isCurrent(plan) && !plan.cancel_at; // a plan that ends asks for nothing more
  const expected = plan.schedule.filter(({ state }) => state !== "upcoming" || isAsked);
  const shown = count ? expected : expected.slice(-SHOWN_OF_ENDLESS);
  show(
    main,
    words.title(title),
    message && note("good", h("p", {}, message)),
    problem && note("bad", h("p", {}, problem)),
    first && withdrawalNote(first),
    refunding && refundRequestNote(refunding, plan.grants_access),
    h(
      "section",
      { class: "panel", "aria-labelledby": "schedule" },
      h(
        "div",
        { class: "row spread" },
        h("h2", { id: "schedule" }, words.schedule),
        h("span", { class: `chip ${kind}` }, icon(drawing), text),
      ),
      sentence && h("p", { class: "state" }, sentence),
      !isUnverified && mainAction(plan),
      shown.length > 0 && scheduleStrip(shown, plan.currency, count),
      h("dl", { class: "sums" }, sums(plan).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
      otherPayments(plan),
    ),
    trackSection(context, plan, onDone),
    datesAhead(plan, catalog, methods),
    h(
      "div",
      { class: "row actions" },
      methodLink(plan),
      h("a", { href: `#/plans/${plan.plan_id}/statement` }, words.statement),
      plan.can_resume && actionButton(words.resume, async () => onDone(await api.resumePlan(plan.plan_id), words.resumed)),
      ...endingButtons(context, plan, { first, refunding }, onDone),
      h("a", { href: "#/payments" }, words.all),
    ),
  );
}

/** The one action to take now: pay what is due, complete the first payment, or join again; undefined if there is none. */
function mainAction(plan) {
  const due = duePayment(plan);
  const toBuy = `#/buy/${api.codeOf(plan)}/${plan.offer}`;
  if (ENDED_BY_ITSELF.includes(plan.close_reason)) return h("p", {}, h("a", { class: "button", href: toBuy }, words.join));
  if (due) return h("p", {}, payLink(plan, due.what, words.pay_now(money(due.amount, plan.currency))));
  if (plan.status !== "OPEN" || isProcessing(plan)) return undefined;
  return h("p", {}, h("a", { class: "button", href: toBuy }, words.complete));
}

const payLink = ({ plan_id: id }, what, text, look = "") => h("a", { class: `button ${look}`, href: `#/plans/${id}/pay/${what}` }, text);

/** The payments that are possible before they are due: the next one, and the rest. */
function otherPayments(plan) {
  const { payable, next, due, rest, currency } = plan;
  if (!payable || isRevoked(plan)) return undefined;
  const main = duePayment(plan)?.what;
  const links = [
    next && !due && main !== "next" && payLink(plan, "next", words.pay_next(money(next.amount, currency)), "quiet"),
    rest && rest.seqs.length > (due?.seqs.length ?? 1) && main !== "rest" && payLink(plan, "rest", words.pay_rest(money(rest.amount, currency)), "quiet"),
  ].filter(Boolean);
  return links.length ? h("p", { class: "row" }, links) : undefined;
}

function sums({ total, received, refunded, lost, outstanding, currency }) {
  const left = total !== null && outstanding > 0;
  return [
    total !== null && [words.total, money(total, currency)],
    received > 0 && [words.received, money(received, currency)],
    lost > 0 && [words.lost, money(-lost, currency)],
    refunded > 0 && [words.refunded, money(-refunded, currency)],
    left && [words.outstanding, money(outstanding, currency)],
  ].filter(Boolean);
}

function methodLink({ plan_id: id, status, cancel_at: endsOn, ...plan }) {
  const isCharged = ["ACTIVE", "LATE", "SUSPENDED", "PAUSED"].includes(status) && !endsOn && !isRevoked(plan);
  return isCharged && h("a", { class: "button quiet", href: `#/plans/${id}/method` }, words.method);
}

/** A button whose error is shown where it is. */
function actionButton(text, work) {
  const error = h("div", { role: "alert" });
  const onError = (failure) => {
    if (failure instanceof SessionExpired) throw failure;
    error.replaceChildren(h("p", { class: "error" }, explain(failure)));
  };
  return h("div", {}, action(text, work, { class: "quiet", onError }), error);
}

/**
 * The buttons that end the plan, or take back the request for it. `first` is its first payment, and `refunding` the one
 * that has the request.
 */
function endingButtons({ catalog, title }, plan, { first, refunding }, onDone) {
  const button = (text, open) => h("button", { type: "button", class: "quiet", onclick: open }, text);
  if (refunding?.refund_request?.can_withdraw) {
    const reload = async (_, text) => onDone(await api.getPlan(plan.plan_id), text);
    return [button(words.withdraw_request, () => withdrawRequest({ payment: refunding, title, plan }, reload))];
  }
  return endings(plan, first, title, catalog.refund_window_days).map((end) => button(end.text, () => end.open(onDone)));
}

/** The tracks of a member: those they have begun, and those that they can begin. */
function trackSection({ catalog }, plan, onDone) {
  if (!plan.membership || !plan.grants_access) return undefined;
  const items = catalog.tracks.map(({ track, title }) => {
    const isBegun = plan.grants.includes(track);
    const begin = async () => onDone(await api.beginTrack(plan.plan_id, track), words.begun(title));
    return h(
      "li",
      {},
      h("p", { class: "strong grow" }, title),
      isBegun ? h("a", { href: "#/learning" }, words.continue(title)) : actionButton(words.begin(title), begin),
    );
  });
  return h(
    "section",
    { class: "panel", "aria-labelledby": "tracks" },
    h("h2", { id: "tracks" }, words.tracks),
    h("ul", { class: "begin" }, items),
  );
}
