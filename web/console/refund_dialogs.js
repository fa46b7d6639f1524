// Refunding a payment, and deciding a student's refund request.
import { day, decimal, groupedDecimal, minorUnits, moneyWithCode, step } from "../shared/format.js";
import { get, post, useDraft } from "./api.js";
import { productOf } from "./components.js";
import { ConfirmDialog, TextField } from "./dialog.js";
import { html } from "./preact.js";
import { Presets, Preview, REFUND_KINDS, Whom } from "./refund_fields.js";
import { refundStateName } from "./status.js";

const UNDONE = "It’s safe to try again.";
const path = (payment) => `/admin/payments/${encodeURIComponent(payment.payment_id)}`;

/** How a refund of all or part of a payment changes the student's access. */
export function accessAfterRefund({ payment, groups, plan }, isFull) {
  if (plan) return accessOfPlan(plan, payment, isFull);
  if (!groups.payment.grants_access) return "access doesn’t change, because this payment grants none";
  if (!isFull) return "the student stays enrolled";
  if (payment.attention.some(({ name }) => name === "double"))
    return `this payment no longer grants access to ${productOf(payment)}; the student keeps it through their other payment`;
  return `the student loses access to ${productOf(payment)} and its projects are locked`;
}

/** How a refund of a plan's payment changes access: the installment stays paid, but the plan stops until staff decide. */
function accessOfPlan({ status, received, refunded }, { refundable_amount: refundable }, isFull) {
  if (["CLOSED", "REFUNDED"].includes(status)) return "access doesn’t change, because the plan has ended";
  if (isFull && refunded + refundable >= received) return "nothing that was paid for the plan is left, so it ends, and its access with it";
  return "access doesn’t change, and the installment stays paid; the plan charges nothing more until staff decide about it on its page";
}

/** "Refund 120.00 of 499.00 USD; the student stays enrolled." */
function consequenceOf(details, amount) {
  const { refundable_amount: refundable, currency, refund_amount: refunded } = details.payment;
  const total = `${refunded > 0 ? "the remaining " : ""}${moneyWithCode(refundable, currency)}`;
  return `Refund ${groupedDecimal(amount, currency)} of ${total}; ${accessAfterRefund(details, amount === refundable)}.`;
}

/** A warning while the bank can still return the debit: the school would then pay the student twice. */
export function ReturnWarning({ until }) {
  if (!until || Date.parse(until) < Date.now()) return null;
  return html`<p class="note warn" role="note">Paid by bank debit. Until ${day(until)} the student’s bank can still return the debit. If it does so after this refund, the student gets the money twice.</p>`;
}

/** The result of a refund request, for a payment with this refundable amount. */
export function requestOutcome({ state, amount, answer }, { refundable_amount: refundable, currency }) {
  const refund = moneyWithCode(amount, currency);
  if (state === "succeeded") return `Refunded ${refund}; ${moneyWithCode(refundable, currency)} can still be refunded.`;
  if (state === "pending") return `Refund of ${refund} submitted. Stripe is processing it.`;
  if (state === "submitting")
    return `Refund of ${refund} recorded; waiting for Stripe. It will be retried automatically. You can’t start another refund until then.`;
  return `Refund of ${refund}: ${refundStateName(state).toLowerCase()}${answer ? ` (${answer})` : ""}.`;
}

/** Whether an amount can be refunded. Stripe refunds some currencies in steps, and always all that is left. */
const canRefund = (amount, { refundable_amount: refundable, currency }) =>
  amount > 0 && amount <= refundable && (amount === refundable || amount % step(currency) === 0);

/** "Enter an amount between 0.01 and 499.00 USD." */
function possibleAmounts({ refundable_amount: refundable, currency }) {
  const least = groupedDecimal(step(currency), currency);
  const steps = step(currency) > 1 ? `, in steps of ${least}` : "";
  return `Enter an amount between ${least} and ${moneyWithCode(refundable, currency)}${steps}.`;
}

export function RefundDialog({ details, done }) {
  const { payment } = details;
  const { payment_id: id, refundable_amount: refundable, currency } = payment;
  const [draft, setTyped, discardTyped] = useDraft(`refund.${id}.amount`, null);
  const typed = draft ?? decimal(refundable, currency);
  const [kindName, setKind, discardKind] = useDraft(`refund.${id}.kind`, "requested_by_customer");
  const kind = REFUND_KINDS[kindName];
  const [ownReason, setReason, discardReason] = useDraft(`refund.${id}.reason`, null);
  const reason = ownReason ?? kind.reason;
  const [note, setNote, discardNote] = useDraft(`refund.${id}.note`);
  const [message, setMessage, discardMessage] = useDraft(`refund.${id}.message`);
  const amount = minorUnits(typed, currency);
  const isValid = canRefund(amount, payment);
  const requestsBefore = payment.refund_requests.map((request) => request.id);
  const discard = () => [discardTyped, discardKind, discardReason, discardNote, discardMessage].forEach((drop) => drop());
  const submit = async () => {
    const body = {
      amount,
      currency,
      expected_refundable_amount: refundable,
      reason: reason.trim(),
      stripe_reason: kindName === "other" ? undefined : kindName,
      note: note.trim() || undefined,
      message: message.trim() || undefined,
    };
    const response = await post(`${path(payment)}/refunds`, body);
    discard();
    return requestOutcome(response.refund_request, { currency, refundable_amount: refundable - amount });
  };
  const check = async () => {
    const { payment: current } = await get(path(payment));
    const request = current.refund_requests.find((one) => !requestsBefore.includes(one.id));
    if (!request) return { text: `We checked: no refund was created. ${UNDONE}` };
    discard();
    return { text: `We checked: ${requestOutcome(request, current)}`, final: true };
  };
  const between = possibleAmounts(payment);
  const consequence = isValid ? consequenceOf(details, amount) : between;
  const confirmText = isValid ? `Refund ${moneyWithCode(amount, currency)}` : "Refund";
  const received = moneyWithCode(payment.amount, currency);
  return html`<${ConfirmDialog} title="Refund" consequence=${consequence} confirmText=${confirmText} danger=${true} ready=${isValid && reason.trim() !== ""} missing=${isValid ? "Give a reason." : between} submit=${submit} check=${check} done=${done}>
    <${Whom} payment=${payment} />
    <${ReturnWarning} until=${payment.returnable_until} />
    <label for="amount">Amount in ${currency.toUpperCase()}</label>
    <div class="with-presets"><input id="amount" class="sum" inputmode="decimal" autocomplete="off" autofocus required value=${typed} onInput=${(event) => setTyped(event.target.value)} aria-invalid=${isValid ? "false" : "true"} aria-describedby="amount-hint" />
      <${Presets} refundable=${refundable} currency=${currency} amount=${amount} choose=${(value) => setTyped(decimal(value, currency))} /></div>
    <p class="small" id="amount-hint">${moneyWithCode(refundable, currency)} of the ${received} received can be refunded. The money goes back to the original payment method.</p>
    <label for="refund-kind">Kind of refund</label>
    <select id="refund-kind" value=${kindName} onChange=${(event) => setKind(event.target.value)} aria-describedby="refund-kind-hint">
      ${Object.entries(REFUND_KINDS).map(([name, { title }]) => html`<option key=${name} value=${name}>${title}</option>`)}</select>
    <p class="small" id="refund-kind-hint">${kind.hint}</p>
    <${TextField} id="reason" label="Reason" required=${true} text=${reason} write=${setReason} hint="The student sees this reason with the refund." />
    <${TextField} id="message" label="Message to the student" text=${message} write=${setMessage} hint="The student sees this message with the payment, and in the email about the refund." />
    ${isValid && html`<${Preview} email=${amount < refundable ? "refund_made_in_part" : "refund_made"} amount=${amount} payment=${payment} reason=${reason} message=${message} />`}
    <${TextField} id="note" label="Note" text=${note} write=${setNote} hint="Internal note; only staff can see this." />
  <//>`;
}

/** Approve or decline a student's refund request. */
export function RequestDialog({ details, request, decision, done }) {
  const { payment } = details;
  const { refundable_amount: refundable, currency } = payment;
  const [note, setNote, discardNote] = useDraft(`${decision}.${request.id}`);
  const [message, setMessage, discardMessage] = useDraft(`${decision}.${request.id}.message`);
  const discard = () => [discardNote, discardMessage].forEach((drop) => drop());
  const approving = decision === "approve";
  const undecided = request.state === "awaiting_approval";
  const amount = undecided ? Math.min(request.amount, refundable) : request.amount;
  const submit = async () => {
    const body = { decision, note: note.trim() || undefined, message: message.trim() || undefined };
    const response = await post(`${path(payment)}/refunds/${encodeURIComponent(request.id)}`, body);
    discard();
    return approving
      ? requestOutcome(response.refund_request, { currency, refundable_amount: refundable - amount })
      : "Request declined. No money moved.";
  };
  const check = async () => {
    const { payment: current } = await get(path(payment));
    const updated = current.refund_requests.find(({ id }) => id === request.id);
    if (updated.state === "awaiting_approval") return { text: `We checked: the request is still undecided. ${UNDONE}` };
    discard();
    return { text: `We checked: ${requestOutcome(updated, current)}`, final: true };
  };
  const consequence = !undecided
    ? `This request has already been decided (${refundStateName(request.state).toLowerCase()}). There is nothing left to do.`
    : approving
      ? consequenceOf(details, amount)
      : "No money moves and access doesn’t change.";
  const title = approving ? "Approve refund" : "Decline refund";
  const confirmText = approving ? `Refund ${moneyWithCode(amount, currency)}` : "Decline";
  return html`<${ConfirmDialog} title=${title} consequence=${consequence} confirmText=${confirmText} danger=${approving} ready=${undecided} submit=${submit} check=${check} done=${done}>
    ${approving && html`<${ReturnWarning} until=${payment.returnable_until} />`}
    <${Whom} payment=${payment} />
    <blockquote dir="auto">${request.reason}</blockquote>
    <${TextField} id="message" label="Message to the student" text=${message} write=${setMessage} hint="The student sees this message with the payment, and in the email about the decision." />
    ${undecided && html`<${Preview} email=${approving ? "refund_approved" : "refund_declined"} amount=${amount} payment=${payment} message=${message} />`}
    <${TextField} id="note" label="Note" text=${note} write=${setNote} hint="Internal note; only staff can see this." />
  <//>`;
}
