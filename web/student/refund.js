// Requesting a refund, and the state of a request.
import { SessionExpired } from "../shared/api.js";
import { h, icon } from "../shared/dom.js";
import { day, methodName, money } from "../shared/format.js";
import * as api from "./api.js";
import { confirm } from "./dialog.js";
import { isCurrent } from "./plan_state.js";
import { texts } from "./text.js";

const words = texts.refund;

const asSentence = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);

/** The state of the student's refund request, unless the payment's chip and sentence already show it. */
export function refundRequestNote(payment, hasAccess = !payment.no_access_reason) {
  const { status, currency, refund_request: request, refund_pending_amount: pending, withdrawal } = payment;
  const isShown = status === "REFUNDED" || (request?.state === "pending" && pending > 0);
  if (!request || (isShown && !request.answer)) return undefined;
  if (withdrawal?.submitted_at && ["awaiting_approval", "submitting", "superseded"].includes(request.state)) return undefined;
  const amount = money(request.amount, currency);
  const isStarted = request.made_by === "school";
  const isOfPlan = payment.plan_id && !isStarted; // the amount is that of one payment, the request about all
  const intro = isOfPlan ? words.requested_plan(day(request.at)) : (isStarted ? words.started : words.requested)(amount, day(request.at));
  const answer = request.answer && asSentence(request.answer);
  const message = request.answer ? words.message(request.answer) : "";
  const state = {
    awaiting_approval: hasAccess ? words.awaiting_approval_with_access : words.awaiting_approval,
    submitting: words.processing(message),
    pending: words.processing(message),
    succeeded: message && words.made(message),
    declined: answer ? words.declined_because(answer) : words.declined,
    rejected: answer ? words.rejected_because(answer) : words.rejected,
    failed: words.failed,
    withdrawn: words.withdrawn,
  }[request.state];
  return state && h("div", { class: "note info" }, icon("clock"), h("p", {}, `${intro} ${state}`));
}

/** Ask for a reason, then request the refund. `onDone` receives the updated payment and a message about it. */
export function requestRefund({ payment, title }, onDone) {
  const { refundable_amount: refundable, currency } = payment;
  const amount = money(refundable, currency);
  const method = payment.payment_method && words.in_a_sentence(methodName(payment.payment_method));
  const decision = decisionText(payment);
  confirm({
    title: words.title(amount),
    content: h(
      "div",
      {},
      h("ul", {}, [
        h("li", {}, method ? words.destination(amount, method) : words.destination_unknown(amount)),
        h("li", {}, decision),
        !payment.no_access_reason && h("li", {}, words.access_lost(title)),
      ]),
      h("label", { for: "reason" }, words.reason),
      h("textarea", { id: "reason", name: "reason", rows: "3", maxlength: "500", required: true }),
    ),
    confirmText: words.confirm,
    cancelText: payment.no_access_reason ? words.cancel : words.keep,
    draft: `refund ${payment.payment_id}`,
    work: (form) => {
      const reason = form.get("reason").replace(/\s+/g, " ").trim();
      return api.requestRefund(payment.payment_id, reason).catch((error) => paymentAfterError(payment, error));
    },
    onDone: (updated) => {
      const refunded = updated.status === "REFUNDED" && updated.refund_pending_amount === 0;
      onDone(updated, refunded && (method ? words.refunded(amount, method) : words.refunded_unknown(amount)));
    },
  });
}

/**
 * Withdraw a request that waits for the school, of a payment or of its whole `plan`. `onDone` receives the updated payment
 * and a message about it.
 */
export function withdrawRequest({ payment, title, plan }, onDone) {
  const { payment_id: id, refund_request: request, currency } = payment;
  const consequence = plan ? consequenceOfPlan(plan, title) : words.withdraw_consequence(money(request.amount, currency), title);
  confirm({
    title: words.withdraw_title,
    content: h("p", {}, consequence),
    confirmText: words.withdraw_confirm,
    cancelText: words.withdraw_cancel,
    work: () => api.withdrawRefundRequest(id, request.id),
    onDone: (updated) => onDone(updated, words.withdrawn),
  });
}

/** The effect of withdrawing the request about a whole plan, which may be charged again. */
function consequenceOfPlan(plan, title) {
  const keeps = plan.grants_access && words.withdraw_keeps(title);
  const isCharged = isCurrent(plan) && plan.next && !plan.cancel_at;
  return [keeps, words.withdraw_not_refunded, isCharged && words.withdraw_charged, words.withdraw_again].filter(Boolean).join(" ");
}

/** The sentence that says whether staff review a request, or by when a withdrawal is refunded. */
function decisionText({ refundable_until: until, withdrawal }) {
  if (withdrawal?.submitted_at)
    return words.due(day(withdrawal.refund_due_by));
  return until && new Date(until) > Date.now() ? words.immediate : words.review;
}

/** After an error: the payment, if it shows that the request took effect anyway. Rethrows the error otherwise. */
async function paymentAfterError(payment, error) {
  if (error instanceof SessionExpired) throw error;
  const updated = await api.getPayment(payment.payment_id).catch(() => payment);
  const unchanged =
    updated.refund_amount === payment.refund_amount && updated.refund_request?.id === payment.refund_request?.id;
  if (unchanged) throw error;
  return updated;
}
