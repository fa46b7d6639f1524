// The dialogs with which staff decide about a payment plan. Each says what happens to money and access.
import { moneyWithCode } from "../shared/format.js";
import { get, post, useDraft } from "./api.js";
import { ConfirmDialog, TextField } from "./dialog.js";
import { html, useRef, useState } from "./preact.js";
import { planStatus } from "./status.js";

const UNDONE = "We checked: it was not recorded. It’s safe to try again.";
const path = ({ plan_id: id }) => `/admin/plans/${encodeURIComponent(id)}`;

/** `[button, what happens to the plan, result]` of each decision, by its name in the API. */
const WORDING = {
  waive: (seq) => [`Waive installment ${seq}`, `The student no longer owes installment ${seq}, and it is never charged. Payments that were made stay as they are.`, `Waived. The student no longer owes installment ${seq}.`],
  reschedule: (seq) => [`Move installment ${seq}`, `Installment ${seq} is due on the new day. The student gets a notice before it is charged.`, `Moved. Installment ${seq} is due on the new day.`],
  forgive: () => ["Forgive the rest", "The student owes nothing more, and the plan is complete.", "Forgiven. The student owes nothing more."],
  pause: () => ["Pause", "Nothing is announced or charged until staff resume the plan. Due days after today then move by the days paused.", "Paused. Nothing is charged until staff resume it."],
  resume: () => ["Resume", "The plan continues. Due days after the start of the pause move by the days paused, and a charge is announced before it is made.", "Resumed. The next charge is announced first."],
  continue: () => ["Continue after the refund", "The plan continues although money was refunded. Refunded installments are not charged again.", "Continued. The next charge is announced first."],
  close: () => ["Close", "The plan ends for good, and is never charged again.", "Closed. The plan is never charged again."],
  revoke: () => ["Revoke access", "The student loses access, whatever they have paid. Nothing is charged while it is revoked.", "Revoked. The student has no access."],
  restore: () => ["Restore access", "Access follows from the payments again.", "Restored. Access follows from the payments again."],
};

export const decisionName = ({ decision, seq }) => WORDING[decision](seq)[0];
export const decisionWords = ({ decision, seq }) => WORDING[decision](seq)[1];
export const decisionResult = ({ decision, seq }) => WORDING[decision](seq)[2];

const isProcessing = ({ schedule }) => schedule.some(({ state }) => state === "processing");

/** The effect of a decision on the money that was paid, and on money that a bank or a dispute still holds. */
function moneyBack({ refund, after }, plan) {
  const processing = isProcessing(plan) ? ` A payment that a bank is processing is ${refund === "all" ? "refunded too" : "kept"} when it arrives.` : "";
  if (refund !== "all") return `No money moves.${refund ? processing : ""}`;
  const held = plan.received - plan.refunded - after.refund_amount;
  const rest = held > 0 ? ` ${moneyWithCode(held, plan.currency)} can’t be refunded now, because a dispute took or holds it.` : "";
  return `${moneyWithCode(after.refund_amount, plan.currency)} goes back to the student within a quarter of an hour.${rest}${processing}`;
}

/** When a charge that was announced is made, if its installment moves to an earlier day. */
function announcedText({ decision, seq }, plan) {
  const { collect } = plan.schedule.find((one) => one.seq === seq) ?? {};
  return decision === "reschedule" && collect ? ` It is announced for ${collect}, so it is not charged before that day.` : "";
}

/** The outcome of a decision, which the API computes, in words. */
export function decisionOutcome(action, plan) {
  const { after } = action;
  const back = `${announcedText(action, plan)} ${moneyBack(action, plan)}`.trim();
  const access = after.grants_access === plan.grants_access ? `The student ${plan.grants_access ? "keeps" : "still has no"} access.` : `The student ${after.grants_access ? "gets" : "loses"} access.`;
  return `${back} ${access} The plan is then “${planStatus(after.status)[0]}”, with ${moneyWithCode(after.outstanding, plan.currency)} outstanding.`;
}

/** Decide about a plan as it was when the dialog opened. `actions` are those of this decision that the API accepts now. */
export function DecisionDialog({ details, actions, done }) {
  const opened = useRef({ plan: details.plan, actions, earlier: details.facts.decisions.map(({ id }) => id) });
  const { plan, actions: choices, earlier } = opened.current;
  const [first] = choices;
  const [refund, setRefund] = useState(first.refund);
  const [to, setTo] = useState("");
  const [access, setAccess] = useState("");
  const draft = `plan.${first.decision}.${first.seq ?? ""}.${plan.plan_id}`;
  const [note, setNote, discard] = useDraft(draft);
  const action = choices.find((one) => one.refund === refund) ?? first;
  const [title, what, result] = WORDING[first.decision](first.seq);
  const needsDay = first.decision === "reschedule";
  const pausedAccess = { yes: true, no: false }[access];
  const consequence = pausedAccess === undefined ? decisionOutcome(action, plan) : decisionOutcome({ ...action, after: { ...action.after, grants_access: pausedAccess } }, plan);
  const submit = async () => {
    await post(`${path(plan)}/decisions`, {
      decision: first.decision,
      version: plan.version,
      note: note.trim(),
      ...(first.seq && { seq: first.seq }),
      ...(needsDay && { to }),
      ...(refund && { refund }),
      ...(pausedAccess !== undefined && { access: pausedAccess }),
    });
    discard();
    return result;
  };
  const check = async () => {
    const { facts } = await get(path(plan));
    const isOwn = (one) => one.decision === first.decision && one.note === note.trim() && !earlier.includes(one.id);
    if (!facts.decisions.some(isOwn)) return { text: UNDONE };
    discard();
    return { text: "We checked: the decision is recorded.", final: true };
  };
  const ready = note.trim() !== "" && (!needsDay || to !== "");
  return html`<${ConfirmDialog} title=${title} consequence=${`${what} ${consequence}`} confirmText=${title} danger=${["close", "revoke"].includes(first.decision)} ready=${ready} missing="Fill in what is missing first." submit=${submit} check=${check} done=${done}>
    ${needsDay && html`<label for="to">New due day</label><input id="to" type="date" required min=${first.earliest} max=${first.latest} value=${to} onInput=${({ target }) => setTo(target.value)} aria-describedby="to-hint" /><p class="small" id="to-hint">From ${first.earliest} to ${first.latest}.</p>`}
    ${choices.length > 1 && html`<label for="refund">Money</label><select id="refund" value=${refund} onChange=${({ target }) => setRefund(target.value)}>
      <option value="none">Keep what was paid</option><option value="all">Refund everything</option></select>`}
    ${first.decision === "pause" && html`<label for="access">Access during the pause</label><select id="access" value=${access} onChange=${({ target }) => setAccess(target.value)}>
      <option value="">As it is now</option><option value="yes">Access</option><option value="no">No access</option></select>`}
    <${TextField} id="note" label="Reason" required=${true} text=${note} write=${setNote} hint="Internal note; only staff can see this." />
  <//>`;
}

/** Charge the installment that is due now. */
export function CollectDialog({ details, done }) {
  const { plan } = useRef(details).current;
  const { seqs, amount } = plan.next;
  const tries = useRef(details.facts.tries.length).current;
  const consequence = `${moneyWithCode(amount, plan.currency)} for installment ${seqs.join(", ")} is charged to the student’s payment method now, without the student. You can do this once a day. A declined charge does not end access.`;
  const text = ({ facts, collect_refusal: refusal }) => {
    const { answer } = facts.tries.at(-1) ?? {};
    if (answer?.code) return `The charge failed: ${answer.code.replace(/_/g, " ")}.`;
    return refusal === "processing" ? "Charged. A bank is processing the payment." : "Charged.";
  };
  const submit = async () => text(await post(`${path(plan)}/collect`));
  const check = async () => {
    const current = await get(path(plan));
    if (current.facts.tries.length === tries) return { text: UNDONE };
    return { text: `We checked: Stripe was asked. ${text(current)}`, final: true };
  };
  return html`<${ConfirmDialog} title="Charge now" consequence=${consequence} confirmText="Charge now" ready=${true} submit=${submit} check=${check} done=${done} />`;
}

/** Mark a plan's reason for attention as resolved. */
export function ResolvePlanDialog({ details, reason, done }) {
  const { plan } = details;
  const shown = useRef(reason).current;
  const [note, setNote, discard] = useDraft(`plan.resolve.${plan.plan_id}.${shown.name}`);
  const submit = async () => {
    await post(`${path(plan)}/attention`, { name: shown.name, fingerprint: shown.fingerprint, note: note.trim() });
    discard();
    return "Marked as resolved.";
  };
  const check = async () => {
    const { plan: current } = await get(path(plan));
    if (current.attention.some(({ name }) => name === shown.name)) return { text: UNDONE };
    discard();
    return { text: "We checked: it is marked as resolved.", final: true };
  };
  return html`<${ConfirmDialog} title="Mark as resolved" consequence="This removes the item from the plans that need attention. No money moves and access doesn’t change. It comes back if the situation changes." confirmText="Mark as resolved" ready=${note.trim() !== ""} submit=${submit} check=${check} done=${done}>
    <blockquote>${shown.detail}</blockquote>
    <${TextField} id="note" label="What did you do?" required=${true} text=${note} write=${setNote} />
  <//>`;
}
