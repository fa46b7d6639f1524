// Changing a payment's access, and resolving an attention reason.
import { moneyWithCode } from "../shared/format.js";
import { get, post, useDraft } from "./api.js";
import { installmentText, productOf } from "./components.js";
import { ConfirmDialog, TextField } from "./dialog.js";
import { html, useRef } from "./preact.js";

const UNDONE = "It’s safe to try again.";
const path = (payment) => `/admin/payments/${encodeURIComponent(payment.payment_id)}`;

/** Why a payment grants no access, as the end of a sentence. */
const NO_ACCESS = {
  dispute_lost: "a dispute of this payment was lost",
  refunded: "this payment was refunded",
  withdrawn: "the student has withdrawn from the contract",
  amount_differs: "the amount received differs from the price and is not accepted",
};

/** Title, button, consequence and result of each change of access. `blocker` is why there is no access afterwards. */
function wording(action, payment, received, blocker) {
  const { currency, refundable_amount: refundable, dispute, plan_id: plan } = payment;
  const track = productOf(payment);
  const kept = dispute === "open" ? "the bank decides who gets the money" : `we keep ${moneyWithCode(Math.max(0, refundable), currency)}`;
  const none = `The payment still grants no access, because ${NO_ACCESS[blocker]}.`;
  return {
    accept_amount: {
      title: "Accept amount",
      confirmText: "Accept",
      consequence: blocker
        ? `Accept ${received} as full payment for ${track}. ${none} No money moves.`
        : plan
          ? `Accept ${received} for ${installmentText(payment)} of the plan for ${track}. It then counts as paid. No money moves.`
          : `Accept ${received} as full payment for ${track} and enroll the student. No money moves.`,
      result: blocker
        ? `Accepted. ${none} No money moved.`
        : plan
          ? `Accepted. The plan counts ${installmentText(payment)} as paid. No money moved.`
          : `Accepted. This payment now grants access to ${track}. No money moved.`,
    },
    restore: {
      title: "Restore access",
      confirmText: "Restore access",
      consequence: blocker
        ? `This takes back the revocation. ${none} No money moves.`
        : `The student gets access to ${track} back. No money moves.`,
      result: blocker
        ? `Restored. ${none} No money moved.`
        : `Restored. This payment grants access to ${track} again. No money moved.`,
    },
    revoke: {
      title: "Revoke access",
      confirmText: "Revoke access",
      consequence: `The student loses the access to ${track} that this payment grants, and its projects are locked. No money moves: ${kept}.`,
      result: `Revoked. This payment no longer grants access to ${track}. No money moved.`,
    },
  }[action];
}

/** Whether the facts of a payment show that an action has been recorded. */
const IS_RECORDED = {
  accept_amount: (facts) => facts.accepted,
  restore: (facts) => facts.decision?.decision !== "revoke",
  revoke: (facts) => facts.decision?.decision === "revoke",
};

/** Accept the amount received, revoke access, or restore it. `action` is the decision's name in the API. */
export function AccessDialog({ details, action, allowed, done }) {
  const { payment, facts } = details;
  const shown = useRef(allowed); // the consequence stays what it was if another member of staff acts first
  const [note, setNote, discard] = useDraft(`${action}.${payment.payment_id}`);
  const { amount, currency } = facts.settled;
  const { title, confirmText, consequence, result } = wording(action, payment, moneyWithCode(amount, currency), shown.current?.no_access_reason);
  const submit = async () => {
    await post(`${path(payment)}/access`, { decision: action, note: note.trim() });
    discard();
    return result;
  };
  const check = async () => {
    const { facts: current } = await get(path(payment));
    if (!IS_RECORDED[action](current))
      return { text: `We checked: the decision was not recorded. ${UNDONE}` };
    discard();
    return { text: "We checked: the decision is recorded.", final: true };
  };
  return html`<${ConfirmDialog} title=${title} consequence=${consequence} confirmText=${confirmText} danger=${action === "revoke"} ready=${Boolean(allowed) && note.trim() !== ""} submit=${submit} check=${check} done=${done}>
    <${TextField} id="note" label="Reason" required=${true} text=${note} write=${setNote} hint="Internal note; only staff can see this." />
  <//>`;
}

const RESOLVE_CONSEQUENCE =
  "This removes the item from Attention. No money moves and access doesn’t change. It comes back if the situation changes.";

/** Mark an attention reason as resolved. `present` is false if it is no longer there. */
export function ResolveDialog({ details, reason, present, done }) {
  const { payment } = details;
  const [note, setNote, discard] = useDraft(`resolve.${payment.payment_id}.${reason.name}`);
  const submit = async () => {
    await post(`${path(payment)}/attention`, { name: reason.name, fingerprint: reason.fingerprint, note: note.trim() });
    discard();
    return "Marked as resolved.";
  };
  const check = async () => {
    const { payment: current } = await get(path(payment));
    if (current.attention.some(({ name }) => name === reason.name))
      return { text: `We checked: it is not marked as resolved. ${UNDONE}` };
    discard();
    return { text: "We checked: it is marked as resolved.", final: true };
  };
  return html`<${ConfirmDialog} title="Mark as resolved" consequence=${RESOLVE_CONSEQUENCE} confirmText="Mark as resolved" ready=${present && note.trim() !== ""} submit=${submit} check=${check} done=${done}>
    <blockquote>${reason.detail}</blockquote>
    <${TextField} id="note" label="What did you do?" required=${true} text=${note} write=${setNote} />
  <//>`;
}
