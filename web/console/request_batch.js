// Approving or declining several refund requests at once.
import { moneyWithCode } from "../shared/format.js";
import { explain, get, post, useDraft } from "./api.js";
import { BatchDialog, totals, useDetails } from "./batch_dialog.js";
import { productOf } from "./components.js";
import { TextField } from "./dialog.js";
import { html, useState } from "./preact.js";
import { accessAfterRefund, requestOutcome, ReturnWarning } from "./refund_dialogs.js";

const paymentPath = ({ payment_id: id }) => `/admin/payments/${encodeURIComponent(id)}`;

/** The amount of a request, and never more than can be refunded. `details` is its payment, once it is read. */
const amountOf = ({ amount, refundable_amount: listed, currency }, details) => ({
  amount: Math.min(amount, details?.payment.refundable_amount ?? listed),
  currency,
});

/**
 * Approve or decline these requests of the queue, with the same message and note. An approval shows what each refund
 * changes, so it reads the payments first. Repeating a decision resumes its refund, and never makes another.
 */
export function RequestBatch({ requests, decision, mayDecide, done }) {
  const approving = decision === "approve";
  const [decidable] = useState(requests.filter(mayDecide));
  const { details, error } = useDetails(approving ? decidable : [], ({ id }) => id, paymentPath);
  const [note, setNote, discardNote] = useDraft(`batch.${decision}.note`);
  const [message, setMessage, discardMessage] = useDraft(`batch.${decision}.message`);
  const items = decidable.map((request) => itemOf(request, approving, details[request.id]));
  const send = async ({ request }) => {
    const body = { decision, note: note.trim() || undefined, message: message.trim() || undefined };
    const { payment, refund_request: decided } = await post(`${paymentPath(request)}/refunds/${encodeURIComponent(request.id)}`, body);
    return approving ? requestOutcome(decided, payment) : "Declined. No money moved.";
  };
  const check = async ({ request }) => {
    const { payment } = await get(paymentPath(request));
    const current = payment.refund_requests.find(({ id }) => id === request.id);
    if (current.state === "awaiting_approval") return { text: "We checked: it is still undecided. It’s safe to try again." };
    return { text: `We checked: ${requestOutcome(current, payment)}`, final: true };
  };
  const finish = (keys, text) => {
    discardNote();
    discardMessage();
    done(keys, text);
  };
  const read = Object.keys(details).length;
  const total = totals(decidable.map((request) => amountOf(request, details[request.id])));
  const isLoaded = !approving || read === decidable.length;
  const skipped = requests.length - decidable.length;
  const left = skipped ? ` ${skipped} of the selected requests can’t be ${approving ? "approved" : "declined"}, so nothing changes for them.` : "";
  const consequence = approving
    ? `Refund ${total} in ${decidable.length} ${decidable.length === 1 ? "refund" : "refunds"}, one after the other.${left}`
    : `Decline ${decidable.length} ${decidable.length === 1 ? "request" : "requests"}. No money moves and access doesn’t change.${left}`;
  const reading = error ? explain(error) : `Loading the payments: ${read} of ${decidable.length}. Try again in a moment.`;
  const problem = decidable.length === 0 ? "None of the selected requests can be decided." : isLoaded ? "" : reading;
  return html`<${BatchDialog} title=${approving ? "Approve selected requests" : "Decline selected requests"} consequence=${consequence}
    confirmText=${approving ? `Refund ${total}` : `Decline ${decidable.length}`} danger=${approving} problem=${problem} items=${items} send=${send} check=${check} done=${finish}>
    ${approving && error && html`<p class="note bad" role="alert">${explain(error)}</p>`}
    <${TextField} id="message" label="Message to each student" text=${message} write=${setMessage} hint="Each student sees this message with the payment." />
    <${TextField} id="note" label="Note" text=${note} write=${setNote} hint="Internal note; only staff can see this." />
  <//>`;
}

/** A request as an item of the dialog. `details` is its payment, once it is read. */
function itemOf(request, approving, details) {
  const { amount, currency } = amountOf(request, details);
  const access = details && accessAfterRefund(details, amount === details.payment.refundable_amount);
  const returnable = details && html`<${ReturnWarning} until=${details.payment.returnable_until} />`;
  const consequence = access ? `; ${access}.` : approving ? "; loading the payment…" : "";
  return {
    key: request.id,
    request,
    label: `${request.email ?? request.user_id}, ${productOf(request)}`,
    detail: html`${moneyWithCode(approving ? amount : request.amount, currency)}${consequence} “${request.reason}”${approving && returnable}`,
  };
}
