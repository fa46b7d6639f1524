// The legal hold and the erasure of a user's data: their state, and the dialogs with which staff decide.
import { explain, Problem } from "../shared/api.js";
import { day } from "../shared/format.js";
import { get, post, useDraft } from "./api.js";
import { Id, Time } from "./components.js";
import { ConfirmDialog, TextField } from "./dialog.js";
import { html } from "./preact.js";
import { openDialog } from "./route.js";

/**
 * How long after a payment a bank can open a dispute, at most. Card networks allow 120 days, for some reasons counted
 * from a later date, and never more than 540 days after the payment. A bank debit has 60 days.
 * https://docs.stripe.com/disputes/how-disputes-work
 */
const DISPUTE_DAYS = 540;
const DAY_MS = 86_400_000;
const REDACTION = "https://docs.stripe.com/privacy/deletion-requests";
const STATES = { scheduled: ["Scheduled", "busy"], erasing: ["Being erased", "busy"], erased: ["Erased", ""] };
const NOTE_HINT = "Internal note; only staff can see this.";
const UNDONE = "It’s safe to try again.";
const path = (id, name) => `/admin/users/${name}?user_id=${encodeURIComponent(id)}`;

/** Whether the data of a user have been erased, or are being erased now. */
export const hasBegun = ({ erasure }) => Boolean(erasure) && erasure.state !== "scheduled";

/** The panel with the legal hold and the erasure. `payments` are the newest of the user, all of them if `complete`. */
export function DataPanel({ user, payments, complete, staff }) {
  const { legal_hold: hold, erasure } = user;
  const decision = hold.decision;
  return html`<section class="panel" aria-label="Erasure and legal hold"><h2>Erasure and legal hold</h2><dl>
    <div><dt>Legal hold</dt><dd>${hold.held ? html`<span class="chip warn">On hold</span>` : "None"}</dd></div>
    ${decision && html`<div><dt>Last decision</dt><dd>${decision.decision} <${Time} at=${decision.at} /> by <${Id} id=${decision.actor} /> ${decision.note}</dd></div>`}
    <div><dt>Erasure</dt><dd>${erasure ? html`<span class=${`chip ${STATES[erasure.state][1]}`}>${STATES[erasure.state][0]}</span>` : "Not requested"}</dd></div>
    ${erasure && html`<${Progress} user=${user} />`}
  </dl>
  ${erasure?.state === "erased" && html`<${AfterErasure} erasure=${erasure} payments=${payments} complete=${complete} />`}
  ${staff.decides && html`<${Buttons} user=${user} />`}</section>`;
}

/** How far an erasure is, and what it waits for. */
function Progress({ user }) {
  const { erasure, legal_hold: hold, user_id: id } = user;
  const { requested_at: requestedAt, due_at: dueAt, by, note, sign_in_ended_at: endedAt, erased_at: erasedAt } = erasure;
  const isLate = erasure.state === "scheduled" && new Date(dueAt) < Date.now();
  return html`
    <div><dt>Requested</dt><dd><${Time} at=${requestedAt} /> by ${by === id ? "the user" : html`<${Id} id=${by} />`} ${note}</dd></div>
    <div><dt>Sign-in</dt><dd>${endedAt ? html`Ended <${Time} at=${endedAt} />` : "Ends within minutes"}</dd></div>
    ${erasedAt ? html`<div><dt>Done</dt><dd><${Time} at=${erasedAt} /></dd></div>` : html`<div><dt>Will be done</dt><dd><${Time} at=${dueAt} /></dd></div>`}
    ${hold.held && !erasedAt && html`<div><dt>Waits for</dt><dd>The end of the legal hold</dd></div>`}
    ${isLate && !hold.held && html`<div><dt>Waits for</dt><dd>An open payment, refund or dispute. If there is none, it is done within minutes.</dd></div>`}`;
}

/** The steps that are left to staff at Stripe, once the data are erased here. */
function AfterErasure({ erasure, payments, complete }) {
  const until = lastDispute(erasure, payments, complete);
  if (until === undefined) return html`<p>No payment was ever paid, so no dispute can come.</p>`;
  const isOver = until < Date.now();
  return html`<p>${isOver ? `Disputes could come until ${day(until)}.` : `Disputes can still come until ${day(until)}.`} Stripe has deleted the customer, and keeps the charges with name and card.</p>
    <p>${isOver ? "Ask now" : `After ${day(until)}, ask`} for redaction: open each payment in Stripe’s dashboard, and ask Stripe’s support there to redact it. A redacted payment loses every dispute and can’t be refunded. <a href=${REDACTION} target="_blank" rel="noopener noreferrer">How Stripe handles deletion requests</a></p>`;
}

/** When the last dispute can come, in ms; undefined if no payment was paid. No payment is made after an erasure. */
function lastDispute({ erased_at: erasedAt }, payments, complete) {
  const paidAt = payments.map((payment) => payment.paid_at).filter(Boolean).map(Date.parse);
  if (complete && paidAt.length === 0) return undefined;
  const last = complete ? Math.max(...paidAt) : Date.parse(erasedAt);
  return last + DISPUTE_DAYS * DAY_MS;
}

function Buttons({ user }) {
  const { erasure, legal_hold: hold } = user;
  const button = (name, text) =>
    html`<button type="button" class="quiet" onClick=${() => openDialog(name)}>${text}…</button> `;
  return html`<p>${!erasure && !hold.held && button("erase", "Erase data")}
    ${!hold.held && !hasBegun(user) && button("hold", HOLD.set.title)}${hold.held && button("lift", HOLD.lift.title)}</p>`;
}

/** Why money is open, for staff. */
const OPEN_MONEY = {
  payment_processing: "A payment of this user is being processed.",
  refund_undecided: "A refund of this user is not decided yet.",
  dispute_open: "A bank has not decided about a disputed payment of this user yet.",
  plan_open: "A payment plan of this user is open. Close it first.",
};

/** The refusal of an erasure for open money in words for staff, who are not the user. Other errors stay. */
function forStaff(error) {
  if (!(error instanceof Problem) || error.type !== "money-open") return error;
  const isKnown = error.until && Date.parse(error.until) > Date.now();
  const date = isKnown ? `The earliest date is ${day(error.until)}.` : "The earliest date is not known yet.";
  return new Problem(error.status, { detail: `${OPEN_MONEY[error.reason] ?? explain(error)} ${date}` });
}

/** Erase the data of a user. `enrollments` are theirs. */
export function EraseDialog({ user, enrollments, done }) {
  const { user_id: id } = user;
  const [note, setNote, discard] = useDraft(`erase.${id}`);
  const submit = async () => {
    try {
      await post(path(id, "erasure"), { note: note.trim() });
    } catch (error) {
      throw forStaff(error);
    }
    discard();
    return "The erasure is scheduled.";
  };
  const check = async () => {
    const { user: current } = await get("/admin/users", { user_id: id });
    if (!current.erasure) return { text: `We checked: no erasure is scheduled. ${UNDONE}` };
    discard();
    return { text: "We checked: the erasure is scheduled.", final: true };
  };
  const tracks = enrollments.filter(({ status }) => status === "ENROLLED").map(({ track }) => track);
  const access = tracks.length ? `the access to ${tracks.join(" and ")} ends with it` : "there is no access to end";
  const consequence = `The sign-in ends within minutes, and ${access}. No money moves, and the user can no longer request a refund: refund first if they should get one. Once begun, it can’t be undone.`;
  return html`<${ConfirmDialog} title="Erase data" consequence=${consequence} confirmText="Erase data" danger=${true} ready=${!user.erasure && !user.legal_hold.held && note.trim() !== ""} submit=${submit} check=${check} done=${done}>
    <p>We erase the email address, card digits, receipts, messages and notes of this user, and delete the customer at Stripe. Amounts, times and ids stay in the books.</p>
    <${TextField} id="note" label="Reason" required=${true} text=${note} write=${setNote} hint="Only staff can see this. It is erased with the data." />
  <//>`;
}

const HOLD = {
  set: {
    title: "Set legal hold",
    consequence: "The user’s data are neither erased nor deleted, and their email address stays, until staff lift the hold. A scheduled erasure stops. Money and access don’t change.",
    result: "The data are on hold.",
  },
  lift: {
    title: "Lift legal hold",
    consequence: "The user’s data can be erased and deleted again. A scheduled erasure continues within minutes. Money and access don’t change.",
    result: "The hold is lifted.",
  },
};

/** Set or lift the legal hold of a user. */
export function HoldDialog({ user, decision, done }) {
  const { user_id: id } = user;
  const [note, setNote, discard] = useDraft(`hold.${decision}.${id}`);
  const { title, consequence, result } = HOLD[decision];
  const submit = async () => {
    await post(path(id, "legal-hold"), { decision, note: note.trim() });
    discard();
    return result;
  };
  const check = async () => {
    const { user: current } = await get("/admin/users", { user_id: id });
    if (current.legal_hold.held !== (decision === "set")) return { text: `We checked: the decision was not recorded. ${UNDONE}` };
    discard();
    return { text: "We checked: the decision is recorded.", final: true };
  };
  const ready = user.legal_hold.held === (decision === "lift") && note.trim() !== "";
  return html`<${ConfirmDialog} title=${title} consequence=${consequence} confirmText=${title} ready=${ready} submit=${submit} check=${check} done=${done}>
    <${TextField} id="note" label="Reason" required=${true} text=${note} write=${setNote} hint=${NOTE_HINT} />
  <//>`;
}
