// What staff decide. Each dialog says what will happen to money and to access, and is sent once.
import { read, send, useDraft } from "./api.js";
import { Decision } from "./dialog.js";
import { figure, minor, plainly, sum } from "./format.js";
import { html } from "./html.js";

const LONGEST = 500;
const path = (payment, rest) => `/admin/payments/${encodeURIComponent(payment.payment_id)}/${rest}`;
const again = ({ payment_id: id }) => read(`/admin/payments/${encodeURIComponent(id)}/`);

/** Text of a person's; kept until it is sent. */
function Words({ id, label, hint, text, write, required = false }) {
  return html`<label for=${id}>${label}${!required && html`<span class="small"> (optional)</span>`}</label>
    <textarea id=${id} rows="2" maxlength=${LONGEST} required=${required} value=${text} onInput=${(event) => write(event.target.value)} aria-describedby=${hint ? `${id}-hint` : undefined}></textarea>
    ${hint && html`<p class="small" id=${`${id}-hint`}>${hint}</p>`}`;
}

// --- refunds ---

/** What a refund of so much does to the student's access. */
function access({ payment, groups }, whole) {
  if (!groups.payment.grants_access) return "access does not change: this payment gives none";
  if (!whole) return "the student stays enrolled";
  if (payment.attention.some(({ name }) => name === "double"))
    return `this payment gives no access to ${payment.track} any more; the student keeps it only by their other payment`;
  return `the student is withdrawn from ${payment.track} and its projects are locked`;
}

/** "Refund 120.00 of 499.00 USD; the student stays enrolled". */
function consequence(found, amount) {
  const { payment } = found;
  const { left, currency, refund_amount: before } = payment;
  const rest = before > 0 ? `${sum(left, currency)} that are left` : sum(left, currency);
  return `Refund ${figure(amount, currency)} of ${rest}; ${access(found, amount === left)}.`;
}

/** In words, what has become of a refund request. */
function told({ state, amount, answer }, { left, currency }) {
  const much = sum(amount, currency);
  if (state === "done") return `Refunded ${much}; ${sum(left, currency)} are left.`;
  if (state === "pending") return `The refund of ${much} is made; Stripe has it under way.`;
  if (state === "calling")
    return `The refund of ${much} is on record, and Stripe has not answered yet. It is driven to its end by itself, and no other can be begun meanwhile.`;
  return `The refund of ${much} is ${state}${answer ? `: ${answer}` : ""}.`;
}

export function Refund({ found, done }) {
  const { payment } = found;
  const { payment_id: id, left, currency } = payment;
  const [written, setTyped, dropTyped] = useDraft(`refund.${id}.amount`, null);
  const typed = written ?? plainly(left, currency);
  const [reason, setReason, dropReason] = useDraft(`refund.${id}.reason`);
  const [note, setNote, dropNote] = useDraft(`refund.${id}.note`);
  const amount = minor(typed, currency);
  const fits = amount > 0 && amount <= left;
  const before = payment.refund_requests.map((request) => request.id);
  const drop = () => [dropTyped, dropReason, dropNote].forEach((forget) => forget());
  const work = async () => {
    const answer = await send(path(payment, "refunds/"), {
      amount,
      left,
      reason: reason.trim(),
      note: note.trim() || undefined,
    });
    drop();
    return told(answer.refund_request, { currency, left: left - amount });
  };
  const look = async () => {
    const { payment: now } = await again(payment);
    const made = now.refund_requests.find((request) => !before.includes(request.id));
    if (!made) return { text: "Looked again: no refund was begun. You may send it once more." };
    drop();
    return { text: `Looked again: ${told(made, now)}`, over: true };
  };
  const says = fits
    ? consequence(found, amount)
    : `Type an amount from ${figure(1, currency)} to ${sum(left, currency)}, which is all that is left.`;
  return html`<${Decision} title="Refund" says=${says} yes=${fits ? `Refund ${sum(amount, currency)}` : "Refund"} danger=${true} ready=${fits && reason.trim() !== ""} work=${work} look=${look} done=${done}>
    <label for="amount">Amount in ${currency.toUpperCase()}</label>
    <input id="amount" class="sum" inputmode="decimal" autocomplete="off" autofocus required value=${typed} onInput=${(event) => setTyped(event.target.value)} aria-invalid=${fits ? "false" : "true"} aria-describedby="amount-left" />
    <p class="small" id="amount-left">${sum(left, currency)} left of ${sum(found.groups.money.received ?? payment.amount, currency)} received. The money goes back to the method that it came from.</p>
    <${Words} id="reason" label="Reason" required=${true} text=${reason} write=${setReason} hint="On the payment; the student sees it." />
    <${Words} id="note" label="Note" text=${note} write=${setNote} hint="For staff alone." />
  <//>`;
}

/** Approve or decline what a student asks for. */
export function Answering({ found, request, decision, done }) {
  const { payment } = found;
  const [note, setNote, drop] = useDraft(`${decision}.${request.id}`);
  const approve = decision === "approve";
  const waits = request.state === "waiting";
  const amount = waits ? Math.min(request.amount, payment.left) : request.amount;
  const work = async () => {
    const answer = await send(path(payment, `refunds/${encodeURIComponent(request.id)}/`), {
      decision,
      note: note.trim() || undefined,
    });
    drop();
    return approve
      ? told(answer.refund_request, { ...payment, left: payment.left - amount })
      : "The request is declined; no money moved.";
  };
  const look = async () => {
    const { payment: now } = await again(payment);
    const known = now.refund_requests.find(({ id }) => id === request.id);
    if (known.state === "waiting") return { text: "Looked again: the request still waits. You may send it once more." };
    drop();
    return { text: `Looked again: ${told(known, now)}`, over: true };
  };
  const says = !waits
    ? `This request is ${request.state} by now: there is nothing to decide.`
    : approve
      ? consequence(found, amount)
      : "No money moves, and the student keeps what they have.";
  return html`<${Decision} title=${approve ? "Approve the refund" : "Decline the refund"} says=${says} yes=${approve ? `Refund ${sum(amount, payment.currency)}` : "Decline"} danger=${approve} ready=${waits} work=${work} look=${look} done=${done}>
    <blockquote>${request.reason}</blockquote>
    <${Words} id="note" label="Note" text=${note} write=${setNote} />
  <//>`;
}

// --- access and attention ---

/** Accept what was received, or revoke access. */
export function Standing({ found, verdict, may, done }) {
  const { payment, facts } = found;
  const [note, setNote, drop] = useDraft(`${verdict}.${payment.payment_id}`);
  const accept = verdict === "accept";
  const { amount, currency } = facts.settled;
  const money = sum(amount, currency);
  const work = async () => {
    await send(path(payment, "decisions/"), { decision: verdict, note: note.trim() });
    drop();
    return accept
      ? `Accepted: this payment gives access to ${payment.track}. No money moved.`
      : `Revoked: this payment gives no access to ${payment.track}. No money moved.`;
  };
  const look = async () => {
    const { facts: now } = await again(payment);
    const made = now.decision?.decision === verdict;
    if (made) drop();
    return made
      ? { text: "Looked again: the decision is on record.", over: true }
      : { text: "Looked again: nothing was decided. You may send it once more." };
  };
  const says = accept
    ? `The ${money} that were received count as the price of ${payment.track}, and the student is enrolled. No money moves.`
    : `The student loses access to ${payment.track} by this payment; its projects are locked. No money moves: ${sum(payment.left, payment.currency)} stay with the school.`;
  return html`<${Decision} title=${accept ? "Accept what was received" : "Revoke access"} says=${says} yes=${accept ? "Accept" : "Revoke access"} danger=${!accept} ready=${may && note.trim() !== ""} work=${work} look=${look} done=${done}>
    <${Words} id="note" label="Why" required=${true} text=${note} write=${setNote} />
  <//>`;
}

/** A cause of attention that somebody has dealt with. */
export function Acknowledge({ found, cause, there, done }) {
  const { payment } = found;
  const [note, setNote, drop] = useDraft(`resolve.${payment.payment_id}.${cause.name}`);
  const work = async () => {
    await send(path(payment, "attention/"), { cause: cause.name, mark: cause.mark, note: note.trim() });
    drop();
    return "Marked as dealt with.";
  };
  const look = async () => {
    const { payment: now } = await again(payment);
    const gone = !now.attention.some(({ name }) => name === cause.name);
    if (gone) drop();
    return gone
      ? { text: "Looked again: it is marked as dealt with.", over: true }
      : { text: "Looked again: the mark is still there. You may send it once more." };
  };
  return html`<${Decision} title="Dealt with" says="The mark is taken off. No money moves, and access does not change. When this changes, it comes back." yes="Mark as dealt with" ready=${there && note.trim() !== ""} work=${work} look=${look} done=${done}>
    <blockquote>${cause.detail}</blockquote>
    <${Words} id="note" label="What was done" required=${true} text=${note} write=${setNote} />
  <//>`;
}
