// Ending a plan: cancel a membership or a plan that was not paid, ask for the money back, or withdraw from the contract.
import { h } from "../shared/dom.js";
import { calendarDay, money } from "../shared/format.js";
import { currentUser } from "../shared/session.js";
import * as api from "./api.js";
import { confirm } from "./dialog.js";
import { canWithdraw } from "./payment_state.js";
import { isCurrent, isProcessing, joined } from "./plan_state.js";
import { texts } from "./text.js";

const words = texts.plan_cancel;
const DAY_MS = 86400000;
const inOneLine = (text) => text.replace(/\s+/g, " ").trim();
const hasEnded = (plan) => plan.status === "CLOSED" && !isCurrent(plan); // so that only its money is left to ask for
const list = (...items) => h("ul", {}, items.filter(Boolean).map((item) => h("li", {}, item)));

/**
 * The ways in which the student can end the plan: the text of each button, and the dialog that it opens, as
 * `{text, open(onDone)}`. `first` is the first payment, which says whether the money goes back at once, `refundDays` are
 * those after it in which a member can have the money back. `onDone` receives the plan and a message.
 */
export function endings(plan, first, title, refundDays) {
  const way = (text, dialog) => ({ text, open: (onDone) => confirm(dialog(onDone)) });
  const refund = way(hasEnded(plan) ? words.refund_only : words.refund, (onDone) => refundDialog(plan, first, title, onDone));
  const canEnd = plan.can_cancel || (plan.total === null && plan.can_resume);
  if (canEnd && first && canWithdraw(first)) return [way(words.withdraw, (onDone) => withdrawalDialog(plan, first, title, onDone))];
  const isOpen = plan.status === "OPEN";
  if (isOpen && !plan.received) return plan.can_cancel ? [way(words.open_confirm, (onDone) => openDialog(plan, onDone))] : [];
  if (isOpen || plan.total !== null) return plan.can_cancel ? [refund] : [];
  const isInTime = first?.can_request_refund && Date.parse(first.paid_at) + refundDays * DAY_MS > Date.now();
  const cancel = way(words.membership, (onDone) => membershipDialog(plan, title, onDone));
  return [plan.can_cancel && cancel, canEnd && isInTime && refund].filter(Boolean);
}

const openDialog = ({ plan_id: id }, onDone) => ({
  title: words.open_title,
  content: h("p", {}, words.open_consequence),
  confirmText: words.open_confirm,
  cancelText: words.keep,
  work: () => api.cancelPlan(id),
  onDone: (plan) => onDone(plan, words.open_done),
});

function membershipDialog({ plan_id: id, status, paid_through: until, ...plan }, title, onDone) {
  const isPaying = isProcessing(plan); // the membership ends with the period that a bank is processing
  const isUnpaid = status === "LATE" && !isPaying; // the period that was paid has ended
  const access = isUnpaid ? words.access_lost(title) : until && !isPaying && words.access_until(calendarDay(until));
  return {
    title: words.membership_title(title),
    content: list(access, words.no_charge, isUnpaid && words.owe_nothing, !isUnpaid && words.progress, !isUnpaid && words.resumable),
    confirmText: words.membership_confirm,
    cancelText: words.keep_membership,
    work: () => api.cancelPlan(id),
    onDone: (plan) => onDone(plan, plan.can_resume ? words.ends_on(calendarDay(plan.cancel_at)) : words.membership_done),
  };
}

/** The request to have the money of all payments back. It ends the plan at once, or the school decides about it. */
function refundDialog(plan, first, title, onDone) {
  const { plan_id: id, received, refunded, lost, currency } = plan;
  const amount = money(received - refunded - lost, currency);
  const isInTime = first?.refundable_until && new Date(first.refundable_until) > Date.now();
  const isImmediate = isInTime && plan.status !== "CLOSED" && !isProcessing(plan);
  return {
    title: (hasEnded(plan) ? words.refund_only_title : words.refund_title)(amount),
    content: h(
      "div",
      {},
      list(
        isImmediate ? words.immediate : words.review,
        isCurrent(plan) && words.stops,
        plan.grants_access && (isImmediate ? words.access_lost(title) : words.access_lost_later(title)),
      ),
      h("label", { for: "reason" }, words.reason),
      h("textarea", { id: "reason", name: "reason", rows: "3", maxlength: "500", required: true }),
    ),
    confirmText: words.refund_confirm,
    cancelText: hasEnded(plan) ? words.close : words.keep,
    draft: `plan ${id}`,
    work: (form) => requestRefund(plan, first, inOneLine(form.get("reason"))),
    onDone: (updated) => onDone(updated, updated.status === "REFUNDED" ? words.refund_done : joined(words.requested, isCurrent(updated) && words.not_charged)),
  };
}

/** Request the money of the whole plan back. To cancel a membership means to end it with its period, with no money back. */
async function requestRefund({ plan_id: id, total }, first, reason) {
  if (total !== null) return api.cancelPlan(id, { reason });
  await api.requestRefund(first.payment_id, reason);
  return api.getPlan(id);
}

/** The declaration by which the student withdraws from the contract of the whole plan. It takes effect at once. */
function withdrawalDialog({ plan_id: id, received, refunded, lost, currency, ...plan }, first, title, onDone) {
  const isOrdered = plan.status === "OPEN"; // a bank is processing the first payment
  const item = (name, text) => [h("dt", {}, name), h("dd", {}, text)];
  const email = currentUser()?.email;
  return {
    title: words.withdraw_title,
    content: h(
      "div",
      {},
      h("p", {}, words.withdraw_lead(title)),
      h("dl", { class: "small" }, [
        ...item(words.contract, title),
        ...item(words.number, id),
        ...(isOrdered ? item(words.price, money(first.amount, currency)) : item(words.paid, money(received - refunded - lost, currency))),
        ...(email ? item(words.acknowledgement, email) : []),
      ]),
      list(words.final, words.stops, isOrdered ? words.processing : words.returned, plan.grants_access && words.access_lost(title)),
      h("label", { for: "withdrawal-name" }, words.name),
      h("input", { id: "withdrawal-name", name: "name", autocomplete: "name", maxlength: "200", required: true }),
    ),
    confirmText: words.withdraw_confirm,
    cancelText: words.keep,
    draft: `withdrawal ${id}`,
    work: (form) => api.cancelPlan(id, { withdrawal: true, name: inOneLine(form.get("name")) }),
    onDone: (plan) => onDone(plan, words.withdrawn),
  };
}
