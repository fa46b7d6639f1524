// The entries of a timeline: a payment's charges, refunds and disputes at Stripe, its emails, and its audit records.
import { moneyWithCode, sentenceCase, shortMethodName } from "../shared/format.js";
import { NOT_RECORDED, recordTitle, recordWords, transitionLines } from "./record_words.js";

/**
 * The entries of a payment, oldest first: `{ key, at, rank, title, source, kind, lines, words, technical }` with `id`, or
 * `record` and `actor`. `words` are the lines that everybody understands, `lines` those with every change of a state. A
 * `technical` entry changed nothing, or another one says the same.
 */
export function timelineEntries({ payment, facts, audit, emails = [] }) {
  const successLast = (a, b) => (a.status === "succeeded") - (b.status === "succeeded"); // no attempt follows a success
  const atStripe = [
    ...[...facts.charges].sort(successLast).map((charge) => [chargeEntry(charge, audit), REPORTED_BY.charge]),
    ...facts.refunds.map((refund) => [refundEntry(refund, audit), REPORTED_BY.refund]),
    ...facts.disputes.map((dispute) => [disputeEntry(dispute), REPORTED_BY.dispute]),
  ].map(([entry, types]) => ({ words: entry.lines, ...entry, source: "stripe", rank: rankAmongRecords(entry, types, audit) }));
  const records = audit.map((record) => recordEntry(record, payment, facts));
  return inOrder([...atStripe, ...records, ...emails.map(emailEntry)]);
}

/** The entries of a plan that belong to none of its payments, each with the plan. */
export const planEntries = ({ plan, audit, emails }) =>
  [...audit.map((record) => planRecordEntry(record, plan.user_id)), ...emails.map(emailEntry)].map((entry) => ({ ...entry, key: `${plan.plan_id} ${entry.key}`, plan }));

/** A record of a plan, or of one of its payments. `student` is the user id of the plan's student. */
export const planRecordEntry = (record, student) => ({
  ...recordEntry(record),
  actor: record.actor && { id: record.actor, isStudent: record.actor === student },
});

/** The entries, oldest first. */
export const inOrder = (entries) =>
  entries.sort((a, b) => toSecond(a.at).localeCompare(toSecond(b.at)) || a.rank - b.rank || 0);

/** Stripe's times are whole seconds. Within a second, records keep their order in the audit trail. */
const toSecond = (at) => at.slice(0, 19);

/** The types of the records that report a charge, a refund or a dispute. */
const REPORTED_BY = {
  charge: /^(charge\.(succeeded|failed)|payment_intent\.(succeeded|payment_failed)|checkout\.session\.completed|pull)$/,
  refund: /^(refund\.(made|created|updated|failed)|charge\.refunded|pull)$/,
  dispute: /^(charge\.dispute\..+|pull)$/,
};

/** Just before the first record of the same second that reports the entry; after all records if there is none. */
function rankAmongRecords(entry, types, audit) {
  const reports = audit.filter((record) => toSecond(record.at) === toSecond(entry.at) && types.test(record.type));
  return reports.length ? Math.min(...reports.map((record) => record.seq)) - 0.5 : audit.length + 1;
}

const ATTEMPTS = { succeeded: "Attempt succeeded", failed: "Attempt declined", pending: "Attempt pending" };

const methodOf = (charge) => shortMethodName(charge.last4 === NOT_RECORDED ? { type: charge.type } : charge);

/** A success is technical if a record says that the payment was paid: that one names the method. */
function chargeEntry({ charge_id: id, at, status, amount, currency, code, ...charge }, audit) {
  const lines = [[moneyWithCode(amount, currency), methodOf(charge)].filter(Boolean).join(", ")];
  if (code) lines.push(sentenceCase(code));
  const technical = status === "succeeded" && audit.some(({ transition }) => transition.settled);
  return { key: id, id, at, title: ATTEMPTS[status] ?? `Attempt ${status}`, kind: status === "succeeded" ? "good" : "bad", lines, technical };
}

/** A refund is technical if a record says that this amount went back. */
function refundEntry({ refund_id: id, at, status, amount, currency, failure }, audit) {
  const lines = [moneyWithCode(amount, currency)];
  if (failure) lines.push(sentenceCase(failure));
  const technical = audit.some(({ transition }) => transition.refunded && Object.hasOwn(transition.refunds ?? {}, id));
  return { key: id, id, at, title: `Refund ${sentenceCase(status).toLowerCase()}`, kind: status === "failed" ? "bad" : "info", lines, technical };
}

/** A dispute's opening. Its end is the record that reports it. */
function disputeEntry({ dispute_id: id, created_at: at, amount, currency, reason }) {
  const lines = [`${moneyWithCode(amount, currency)}, ${sentenceCase(reason).toLowerCase()}`];
  return { key: id, id, at, title: "Dispute opened", kind: "bad", lines };
}

/** Reasons for which an email is not sent as a matter of course. */
const USUAL = ["no_longer_applies", "no_sender"];
const EMAIL_STATES = {
  sent: ["Email sent", "info"],
  skipped: ["Email not sent", ""],
  unsent: ["Email may be unsent", "bad"],
  claimed: ["Email being sent", ""],
};

function emailEntry({ kind, state, reason, at }, index) {
  const [title, color] = EMAIL_STATES[state] ?? [`Email ${state}`, ""];
  const words = reason ? [sentenceCase(reason)] : [];
  return { key: `email-${index}`, at, rank: Infinity, title: `${title}: ${sentenceCase(kind)}`, source: "email", kind: color, lines: words, words, technical: USUAL.includes(reason) };
}

/** An audit record, of a payment or of a user's own chain. */
export function recordEntry(record, payment, facts) {
  const { seq, at, type, source, actor, transition, subject } = record;
  const notes = payment ? noteLines(record, payment, facts) : [];
  const words = [...recordWords(record, facts && paidWith(facts)), ...notes];
  return {
    key: `record-${subject}-${seq}`,
    rank: seq,
    at,
    title: recordTitle(record),
    source,
    kind: source === "staff" ? "staff" : Object.keys(transition).length > 0 ? "moved" : "",
    actor: actor && { id: actor, isStudent: actor === (payment?.user_id ?? subject) },
    lines: [...transitionLines(transition), ...notes],
    words,
    technical: !["staff", "request"].includes(source) && (isSaidByCharge(record, facts) || words.length + meaningOf(transition) === 0),
    record,
  };
}

/** The method of the charge that paid. */
const paidWith = ({ charges }) => charges.filter(({ status }) => status === "succeeded").map(methodOf)[0];

/** The number of a transition's changes that mean something to staff. The others accompany them. */
const meaningOf = (transition) =>
  ["settled", "refunded", "lost", "status", "enrollment", "refunds", "disputes", "refund_requests", "withdrawal", "erasure"].filter((name) => transition[name]).length;

/** Whether a record only says that an attempt failed, or that a dispute was opened: the entry at Stripe says more. */
function isSaidByCharge({ transition }, facts) {
  const { status, enrollment, settled, refunded, lost, disputes } = transition;
  if (enrollment || settled || refunded || lost) return false;
  const isOpening = disputes && Object.values(disputes).every(({ from }) => !from);
  const hasFailed = transition.declines || status?.to === "FAILED";
  return Boolean(isOpening || (hasFailed && facts?.charges.some((charge) => charge.status === "failed")));
}

const staffTexts = ({ note, message }) => [note && `Note: ${note}`, message && `Message to the student: ${message}`];

/** The texts that people typed. They are stored with the payment; the record's event id tells which belong to it. */
function noteLines({ event_id: eventId, type }, payment, facts) {
  const lines = [];
  const request = (payment.refund_requests ?? []).find(({ id }) => eventId === id || eventId.startsWith(`${id}:`));
  if (request && eventId === request.id)
    lines.push(
      `${moneyWithCode(request.amount, payment.currency)}: “${request.reason}”`,
      ...(request.decided_by ? [] : staffTexts(request)),
    );
  if (request && /:(declined|submitting)$/.test(eventId)) lines.push(...staffTexts(request));
  if (request && type === "refund.refused" && request.answer) lines.push(request.answer);
  if (type === "contract.withdrawn" && facts.withdrawn)
    lines.push(
      facts.withdrawn.name && `Name: ${facts.withdrawn.name}`,
      facts.withdrawn.email && `Acknowledgement to ${facts.withdrawn.email}`,
    );
  if (facts.decision && eventId === `decision:${facts.decision.version}`) lines.push(`Note: ${facts.decision.note}`);
  for (const { name, note, version } of facts.acknowledged)
    if (eventId === `acknowledged:${version}`) lines.push(`${name}: ${note}`);
  return lines.filter(Boolean);
}
