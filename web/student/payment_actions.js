// The actions of a student on a payment, in the list of payments and on the payment's own page.
import { h } from "../shared/dom.js";
import { day, money } from "../shared/format.js";
import { cancelPayment } from "./cancel.js";
import { describe } from "./payment_state.js";
import { requestRefund, withdrawRequest } from "./refund.js";
import { texts } from "./text.js";
import { requestWithdrawal } from "./withdrawal.js";

const words = texts.payment_actions;

/** Reasons that Stripe names itself, for a refund that was not requested here. */
const REASONS_OF_STRIPE = {
  duplicate: words.duplicate,
  fraudulent: "",
  requested_by_customer: "",
  expired_uncaptured_charge: "",
};

/** A sentence about the money that was refunded; undefined if none was, or if it is still being processed. */
export function refundedText(payment) {
  const { refund_amount: counted, refund_pending_amount: pending, currency, refunded_at: at, refund_reason: why } = payment;
  if (counted <= pending) return undefined;
  const amount = money(counted - pending, currency);
  const refund = at ? words.refunded_on(amount, day(at)) : words.refunded(amount);
  const reason = REASONS_OF_STRIPE[why] ?? why;
  return reason ? words.refund_reason(refund, reason) : refund;
}

/**
 * The links and buttons of a payment. `isSold` says whether its track can still be bought. `onDone` receives the updated
 * payment and a message, once a dialog has closed.
 */
export function paymentActions({ payment, title, isSold }, onDone) {
  const { receipt_url: receipt, track, plan_id: plan } = payment;
  const { actions } = describe({ payment, sold: isSold });
  const button = (text, work) => {
    const about = h("span", { class: "visually-hidden" }, words.about(title));
    return h("button", { type: "button", class: "quiet", onclick: () => work({ payment, title }, onDone) }, text, about);
  };
  const label = words.receipt_for(title);
  return [
    receipt && h("a", { href: receipt, target: "_blank", rel: "noopener", "aria-label": label }, words.receipt),
    actions.includes("view") && h("a", { href: `#/buy/${track}` }, words.view),
    actions.includes("complete") && h("a", { class: "button", href: `#/buy/${track}` }, words.complete),
    plan && h("a", { href: `#/plans/${plan}` }, words.plan, h("span", { class: "visually-hidden" }, words.about(title))),
    payment.can_cancel && !plan && button(words.cancel, cancelPayment),
    actions.includes("withdraw") && button(words.withdraw, requestWithdrawal),
    actions.includes("refund") && button(words.refund, requestRefund),
    payment.refund_request?.can_withdraw && button(words.withdraw_request, withdrawRequest),
  ].filter(Boolean);
}
