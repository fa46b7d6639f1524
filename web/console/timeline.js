// A payment's timeline: its charges, refunds and disputes at Stripe, and its audit records, in one order.
import { moneyWithCode, sentenceCase, shortMethodName } from "../shared/format.js";
import { Id, Time, usePages, UserLink } from "./components.js";
import { requestedEmail } from "./email_dialog.js";
import { MomentForm, NOT_RECORDED } from "./moment.js";
import { html, useState } from "./preact.js";
import { routeTo } from "./route.js";
import { enrollmentStatus, paymentStatus } from "./status.js";

const SOURCES = { pull: "sync", reconcile: "reconciler", stripe: "Stripe" };
const TITLES = {
  "payment.created": "Payment created",
  "terms.agreed": "Terms agreed",
  pull: "Synced with Stripe",
  rebuilt: "Rebuilt from Stripe",
  "payment.confirmed": "Confirmed by Stripe",
  "payment.compared": "Compared with Stripe’s balance",
  "contract.withdrawn": "Withdrawal from the contract",
  "refund.requested": "Refund requested",
  "refund.created_by_staff": "Refund created by staff",
  "refund.approved": "Refund request approved",
  "refund.declined": "Refund request declined",
  "refund.withdrawn": "Refund request withdrawn",
  "refund.made": "Refund created at Stripe",
  "refund.refused": "Refund rejected by Stripe",
  "refund.tried_again": "Refund retried",
  "charge.dispute.created": "Dispute opened",
  "charge.dispute.updated": "Dispute changed",
  "charge.dispute.funds_withdrawn": "Bank took the money",
  "charge.dispute.funds_reinstated": "Bank gave the money back",
  "charge.dispute.closed": "Dispute decided",
  "decision.accept_amount": "Amount accepted",
  "decision.revoke": "Access revoked",
  "decision.restore": "Access restored",
  "attention.acknowledged": "Marked as resolved",
};

/** The entries, oldest first: `{ key, at, rank, title, source, kind, lines }` with `id` or `record` and `actor`. */
export function timelineEntries({ payment, facts, audit }) {
  const successLast = (a, b) => (a.status === "succeeded") - (b.status === "succeeded"); // no attempt follows a success
  const atStripe = [
    ...[...facts.charges].sort(successLast).map((charge) => [chargeEntry(charge), REPORTED_BY.charge]),
    ...facts.refunds.map((refund) => [refundEntry(refund), REPORTED_BY.refund]),
    ...facts.disputes.map((dispute) => [disputeEntry(dispute), REPORTED_BY.dispute]),
  ].map(([entry, types]) => ({ ...entry, source: "stripe", rank: rankAmongRecords(entry, types, audit) }));
  const records = audit.map((record) => recordEntry(record, payment, facts));
  return [...atStripe, ...records].sort(
    (a, b) => toSecond(a.at).localeCompare(toSecond(b.at)) || a.rank - b.rank || 0,
  );
}

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

function chargeEntry({ charge_id: id, at, status, amount, currency, code, ...charge }) {
  const method = charge.last4 === NOT_RECORDED ? { type: charge.type } : charge;
  const lines = [[moneyWithCode(amount, currency), shortMethodName(method)].filter(Boolean).join(", ")];
  if (code) lines.push(sentenceCase(code));
  const title = ATTEMPTS[status] ?? `Attempt ${status}`;
  return { key: id, id, at, title, kind: status === "succeeded" ? "good" : "bad", lines };
}

function refundEntry({ refund_id: id, at, status, amount, currency, failure }) {
  const lines = [moneyWithCode(amount, currency)];
  if (failure) lines.push(sentenceCase(failure));
  const title = `Refund ${sentenceCase(status).toLowerCase()}`;
  return { key: id, id, at, title, kind: status === "failed" ? "bad" : "info", lines };
}

function disputeEntry({ dispute_id: id, created_at: at, status, amount, currency, reason }) {
  const lines = [
    `${moneyWithCode(amount, currency)}, ${sentenceCase(reason).toLowerCase()}`,
    `Current status: ${sentenceCase(status).toLowerCase()}`,
  ];
  return { key: id, id, at, title: "Dispute opened", kind: "bad", lines };
}

function recordEntry(record, payment, facts) {
  const { seq, at, type, source, actor, transition } = record;
  const email = requestedEmail(record);
  const isTransition = Object.keys(transition).length > 0;
  return {
    key: `record-${seq}`,
    rank: seq,
    at,
    title: email ? `Email requested by staff: ${email}` : (TITLES[type] ?? type),
    source,
    kind: source === "staff" ? "staff" : isTransition ? "moved" : "",
    actor: actor && { id: actor, isStudent: actor === payment.user_id },
    lines: [...transitionLines(transition), ...noteLines(record, payment, facts)],
    record,
  };
}

/** The changes that a record made, in words. */
function transitionLines({ status, enrollment, settled, refunded, lost, attention, currency }) {
  const lines = [];
  const money = (amount) => moneyWithCode(Math.abs(amount), currency);
  const statusName = (value) => (value ? paymentStatus(value)[0] : "none");
  const enrollmentName = (value) => (value ? enrollmentStatus(value)[0] : "none");
  if (settled) lines.push(`Received ${money(settled)}`);
  if (refunded) lines.push(`${refunded > 0 ? "Refunded" : "Refund undone:"} ${money(refunded)}`);
  if (lost) lines.push(lost > 0 ? `Lost ${money(lost)} to a dispute` : `Won back ${money(lost)}`);
  if (status) lines.push(`Status: ${statusName(status.from)} → ${statusName(status.to)}`);
  if (enrollment) lines.push(`Enrollment: ${enrollmentName(enrollment.from)} → ${enrollmentName(enrollment.to)}`);
  if (attention) lines.push(`Needs attention: ${attention.join(", ")}`);
  return lines;
}

const staffTexts = ({ note, message }) => [note && `Note: ${note}`, message && `Message to the student: ${message}`];

/** The texts that people typed. They are stored with the payment; the record's event id tells which belong to it. */
function noteLines({ event_id: eventId, type }, payment, facts) {
  const lines = [];
  const request = payment.refund_requests.find(({ id }) => eventId === id || eventId.startsWith(`${id}:`));
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

const OLDEST_FIRST = "tuition.console.oldest-first";

export function Timeline({ details }) {
  const [oldestFirst, setOldestFirst] = useState(localStorage.getItem(OLDEST_FIRST) === "1");
  const toggle = () => {
    localStorage.setItem(OLDEST_FIRST, oldestFirst ? "" : "1");
    setOldestFirst(!oldestFirst);
  };
  const entries = timelineEntries(details);
  const [shown, more] = usePages(oldestFirst ? entries : [...entries].reverse());
  return html`<section class="panel timeline" aria-labelledby="timeline">
    <div class="head"><h2 id="timeline">Timeline</h2><${AuditStatus} chain=${details.chain} count=${details.audit.length} />
      <span class="grow"></span><button type="button" class="quiet" onClick=${toggle}>Sort: ${oldestFirst ? "oldest" : "newest"} first</button></div>
    <${MomentForm} payment=${details.payment} />
    <ol>${shown.map((entry) => html`<${Entry} key=${entry.key} entry=${entry} />`)}</ol>
    ${more}
  </section>`;
}

/** Whether the audit trail is intact: each record is chained to the one before it. */
export function AuditStatus({ chain, count }) {
  return chain.verified
    ? html`<span class="chip good">Audit trail verified (${count} ${count === 1 ? "record" : "records"})</span>`
    : html`<span class="chip bad" role="alert">Audit trail broken: ${chain.problem}</span>`;
}

function Entry({ entry }) {
  const { at, title, source, kind, actor, lines, record, id } = entry;
  const [open, setOpen] = useState(false);
  return html`<li class=${kind}>
    <span class="when"><${Time} at=${at} seconds=${true} /></span>
    <div class="what">
      <p class="title">${title}</p>
      ${lines.map((line) => html`<p key=${line}>${line}</p>`)}
      ${id && html`<p class="faint"><${Id} id=${id} /></p>`}
      ${open && html`<dl class="record"><dt>Event</dt><dd><${Id} id=${record.event_id} /></dd><dt>Type</dt><dd><code>${record.type}</code></dd><dt>Hash</dt><dd><code>${record.hash}</code></dd><dt>Facts</dt><dd><code>${record.facts ? JSON.stringify(record.facts) : NOT_RECORDED}</code></dd></dl>
        <p><a href=${routeTo(["payments", record.subject], { version: record.seq })}>The payment after record ${record.seq}</a></p>`}
    </div>
    <span class="by">${actor && html`<span>${actor.isStudent ? "the student" : html`<${UserLink} id=${actor.id} />`}</span>`}<span class="chip">${SOURCES[source] ?? source}</span>
      ${record ? html`<button type="button" class="copy" aria-expanded=${open ? "true" : "false"} aria-label=${`Record ${record.seq}`} onClick=${() => setOpen(!open)}>#${record.seq}</button>` : html`<span class="copy"></span>`}</span>
  </li>`;
}
