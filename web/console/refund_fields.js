// Parts of the dialogs about refunds: whom it concerns, the usual amounts and reasons, and what the student will read.
import { day, money, moneyWithCode, shortMethodName, step } from "../shared/format.js";
import { get, useResponse } from "./api.js";
import { installmentText, productOf } from "./components.js";
import { MESSAGE_HEADING, subjectOf } from "./email_texts.js";
import { html } from "./preact.js";

/** The kinds of refunds: the reasons that Stripe takes, and any other. `reason` is what the student reads by default. */
export const REFUND_KINDS = {
  requested_by_customer: {
    title: "Requested by the student",
    hint: "Stripe records “requested by customer”.",
    reason: "You asked for this refund",
  },
  duplicate: { title: "Duplicate payment", hint: "Stripe records “duplicate”.", reason: "You had paid twice" },
  fraudulent: {
    title: "Fraudulent payment",
    hint: "Stripe records “fraudulent” and blocks this card and email address. The student doesn’t see this.",
    reason: "We canceled this purchase",
  },
  other: { title: "Other", hint: "Say why below. Stripe records “requested by customer”.", reason: "" },
};

/** The student, the track and the payment method of a payment. */
export function Whom({ payment }) {
  const { email, user_id: userId, payment_method: method, paid_at: paidAt } = payment;
  const parts = [productOf(payment), payment.plan_id && installmentText(payment), shortMethodName(method), paidAt && `paid ${day(paidAt)}`];
  return html`<p class="whom"><strong>${email ?? userId}</strong> · ${parts.filter(Boolean).join(" · ")}</p>`;
}

/** Buttons for all of what can be refunded, and for half of it. */
export function Presets({ refundable, currency, amount, choose }) {
  const half = Math.floor(refundable / 2 / step(currency)) * step(currency);
  const preset = (text, value) =>
    html`<button type="button" class="quiet" aria-pressed=${amount === value ? "true" : "false"} onClick=${() => choose(value)}>${text}<span class="visually-hidden">, ${moneyWithCode(value, currency)}</span></button>`;
  return html`<span class="presets" role="group" aria-label="Usual amounts">${preset("All", refundable)}${half > 0 && preset("Half", half)}</span>`;
}

/** A preview of the email about a decision (a section of `email_texts.js`), and of the reason that the page shows. */
export function Preview({ email, amount, payment, reason = "", message }) {
  const { response: catalog } = useResponse(() => get("/payments/tracks"), []);
  const { tracks = [], memberships = [], no_longer_sold: former = [] } = catalog ?? {};
  const code = productOf(payment);
  const { title } = [...tracks, ...memberships, ...former].find((one) => productOf(one) === code) ?? { title: code };
  return html`<figure class="preview"><figcaption>Preview: the email to the student${reason && ", and what their payments page shows"}</figcaption>
    <p class="strong">${subjectOf(email, { amount: money(amount, payment.currency), track: title })}</p>
    ${message.trim() ? html`<p class="small">${MESSAGE_HEADING}</p><p dir="auto">${message.trim()}</p>` : html`<p class="none">No message</p>`}
    ${reason.trim() && html`<p class="small">On the page: Reason: ${reason.trim()}</p>`}</figure>`;
}
