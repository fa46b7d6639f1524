// Requesting a refund, and the state of a request.
import { SessionExpired } from "../shared/api.js";
import { h, icon } from "../shared/dom.js";
import { day, methodName, money } from "../shared/format.js";
import * as api from "./api.js";
import { confirm } from "./dialog.js";

const asSentence = (text) => (/[.!?]$/.test(text) ? text : `${text}.`);

/** The state of the student's refund request, unless the payment's chip and sentence already show it. */
export function refundRequestNote(payment) {
  const { status, currency, refund_request: request, refund_pending_amount: pending, withdrawal } = payment;
  const isShown = status === "REFUNDED" || (request?.state === "pending" && pending > 0);
  if (!request || (isShown && !request.answer)) return undefined;
  if (withdrawal?.submitted_at && ["awaiting_approval", "submitting", "superseded"].includes(request.state)) return undefined;
  const amount = money(request.amount, currency);
  const isOwn = request.made_by !== "school";
  const intro = isOwn
    ? `You requested a refund of ${amount} on ${day(request.at)}.`
    : `We started a refund of ${amount} on ${day(request.at)}.`;
  const answer = request.answer ? ` The school’s message: ${request.answer}` : "";
  const reason = request.answer ? `: ${asSentence(request.answer)}` : ".";
  const state = {
    awaiting_approval: "We’re reviewing your request. You keep access until then.",
    submitting: `Your refund is being processed.${answer}`,
    pending: `Your refund is being processed.${answer}`,
    succeeded: answer && `The refund was made.${answer}`,
    declined: `We declined your request${reason}`,
    rejected: `Stripe couldn’t make the refund${reason}`,
    failed: "Your bank returned the refund. We’re looking into it and will contact you.",
  }[request.state];
  return state && h("div", { class: "note info" }, icon("clock"), h("p", {}, `${intro} ${state}`));
}

/** Ask for a reason, then request the refund. `onDone` receives the updated payment and a message about it. */
export function requestRefund({ payment, title }, onDone) {
  const { refundable_amount: refundable, currency } = payment;
  const amount = money(refundable, currency);
  const destination = payment.payment_method
    ? `your ${methodName(payment.payment_method).replace(/^(Card|Bank)/, (word) => word.toLowerCase())}`
    : "the payment method you used";
  const decision = decisionText(payment);
  confirm({
    title: `Request a refund of ${amount}?`,
    content: h(
      "div",
      {},
      h("ul", {}, [
        h("li", {}, `${amount} goes back to ${destination}. It usually appears within 5–10 days.`),
        h("li", {}, decision),
        !payment.no_access_reason &&
          h("li", {}, `You’ll lose access to ${title}. Your progress is saved in case you come back.`),
      ]),
      h("label", { for: "reason" }, "Reason for your refund"),
      h("textarea", { id: "reason", name: "reason", rows: "3", maxlength: "500", required: true }),
    ),
    confirmText: "Request refund",
    cancelText: payment.no_access_reason ? "Cancel" : "Keep my enrollment",
    work: async (form) => {
      const reason = form.get("reason").replace(/\s+/g, " ").trim();
      const updated = await api
        .requestRefund(payment.payment_id, reason)
        .catch((error) => paymentAfterError(payment, error));
      const refunded = updated.status === "REFUNDED" && updated.refund_pending_amount === 0;
      onDone(updated, refunded && `Refunded. ${amount} is on its way to ${destination}.`);
    },
  });
}

/** The sentence that says whether staff review a request, or by when a withdrawal is refunded. */
function decisionText({ refundable_until: until, withdrawal }) {
  if (withdrawal?.submitted_at)
    return `You withdrew from this contract, so you get the money by ${day(withdrawal.refund_due_by)} at the latest.`;
  return until && new Date(until) > Date.now()
    ? "We refund you immediately, unless we refunded this track to you before. Then we review your request first."
    : "We’ll review your request first. You keep access until we decide.";
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
