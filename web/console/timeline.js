// Everything that happened to a payment, in one line of time: what Stripe told, what was asked, what people did.
import { method, sum, words } from "./format.js";
import { html, useState } from "./html.js";
import { Id, Time, UserLink } from "./parts.js";

const SOURCES = {
  webhook: "webhook",
  pull: "pull",
  request: "request",
  staff: "staff",
  reconcile: "reconciler",
  stripe: "Stripe",
};
const TITLES = {
  "payment.created": "Payment begun",
  pull: "Stripe was asked",
  rebuilt: "Rebuilt from Stripe",
  "refund.requested": "Refund asked for",
  "refund.ordered": "Refund ordered",
  "refund.approved": "Refund request approved",
  "refund.declined": "Refund request declined",
  "refund.made": "Refund made at Stripe",
  "refund.refused": "Refund refused by Stripe",
  "refund.tried_again": "Refund tried again",
  "decision.accept": "Accepted by staff",
  "decision.revoke": "Access revoked",
  "attention.acknowledged": "Attention dealt with",
};

/** The entries, oldest first: `{ key, at, title, source, kind, who, lines, record }`. */
export function entries({ payment, facts, audit }) {
  const { currency } = payment;
  const paidLast = (a, b) => (a.status === "succeeded") - (b.status === "succeeded"); // nobody tries again who has paid
  const told = [
    ...[...facts.charges].sort(paidLast).map((charge) => ({ ...attempt(charge, currency), tells: TELLS.charge })),
    ...facts.refunds.map((refund) => ({ ...refunded(refund, currency), tells: TELLS.refund })),
    ...facts.disputes.map((dispute) => ({ ...disputed(dispute), tells: TELLS.dispute })),
  ];
  const kept = audit.map((record) => recorded(record, payment, facts));
  return [...told.map((fact) => ({ ...fact, rank: before(fact, audit) })), ...kept].sort(
    (a, b) => second(a.at).localeCompare(second(b.at)) || a.rank - b.rank || 0,
  );
}

/** Stripe's times are whole seconds: within one, records are in the order of acceptance. */
const second = (at) => at.slice(0, 19);

/** The records by which a fact of Stripe's becomes known. */
const TELLS = {
  charge: /^(charge\.(succeeded|failed)|payment_intent\.(succeeded|payment_failed)|checkout\.session\.completed|pull)$/,
  refund: /^(refund\.(made|created|updated|failed)|charge\.refunded|pull)$/,
  dispute: /^(charge\.dispute\..+|pull)$/,
};

/** What happened at Stripe comes just before the first record of that second that tells of it, else at its end. */
function before(fact, audit) {
  const telling = audit.filter((record) => second(record.at) === second(fact.at) && fact.tells.test(record.type));
  return telling.length ? Math.min(...telling.map((record) => record.seq)) - 0.5 : audit.length + 1;
}

function attempt(charge, currency) {
  const paid = charge.status === "succeeded";
  const said =
    { succeeded: "Attempt succeeded", failed: "Attempt declined", pending: "Attempt pending" }[charge.status] ??
    `Attempt ${charge.status}`;
  const lines = [[sum(charge.amount, currency), method(charge)].filter(Boolean).join(", ")];
  if (charge.code) lines.push(words(charge.code));
  return {
    key: charge.charge_id,
    at: charge.at,
    title: said,
    source: "stripe",
    kind: paid ? "good" : "bad",
    lines,
    id: charge.charge_id,
  };
}

function refunded(refund, currency) {
  const lines = [sum(refund.amount, currency)];
  if (refund.failure) lines.push(words(refund.failure));
  return {
    key: refund.refund_id,
    at: refund.at,
    title: `Refund ${words(refund.status).toLowerCase()}`,
    source: "stripe",
    kind: refund.status === "failed" ? "bad" : "info",
    lines,
    id: refund.refund_id,
  };
}

function disputed(dispute) {
  const lines = [
    `${sum(dispute.amount, dispute.currency)}, ${words(dispute.reason).toLowerCase()}`,
    `Now: ${words(dispute.status).toLowerCase()}`,
  ];
  return {
    key: dispute.dispute_id,
    at: dispute.created_at,
    title: "Dispute opened",
    source: "stripe",
    kind: "bad",
    lines,
    id: dispute.dispute_id,
  };
}

function recorded(record, payment, facts) {
  const title = TITLES[record.type] ?? record.type;
  const kind = record.source === "staff" ? "staff" : moved(record) ? "moved" : "";
  const lines = [...changes(record.transition, payment.currency), ...notes(record, payment, facts)];
  const who = record.actor && { id: record.actor, student: record.actor === payment.user_id };
  return {
    key: `record-${record.seq}`,
    rank: record.seq,
    at: record.at,
    title,
    source: record.source,
    kind,
    who,
    lines,
    record,
  };
}

const moved = ({ transition }) => Object.keys(transition).length > 0;

/** What a record changed, in words. */
function changes(transition, currency) {
  const found = [];
  const { status, enrollment, settled, refunded: back, lost, attention } = transition;
  if (settled) found.push(`Received ${sum(settled, currency)}`);
  if (back) found.push(back > 0 ? `Refunded ${sum(back, currency)}` : `Refund undone: ${sum(-back, currency)}`);
  if (lost) found.push(lost > 0 ? `Lost ${sum(lost, currency)} to a dispute` : `Won back ${sum(-lost, currency)}`);
  if (status) found.push(`Status ${status.from ?? "none"} → ${status.to}`);
  if (enrollment) found.push(`Enrollment ${enrollment.from ?? "none"} → ${enrollment.to ?? "none"}`);
  if (attention) found.push(`Needs a person: ${attention.join(", ")}`);
  return found;
}

/** What people wrote is on the payment, not in the record: found by the record's event. */
function notes(record, payment, facts) {
  const event = record.event_id;
  const asked = payment.refund_requests.find(({ id }) => event === id || event.startsWith(`${id}:`));
  const found = [];
  if (asked && event === asked.id)
    found.push(
      `${sum(asked.amount, payment.currency)}: “${asked.reason}”`,
      asked.decided_by ? "" : asked.note && `Note: ${asked.note}`,
    );
  if (asked && /:(declined|calling)$/.test(event) && asked.note) found.push(`Note: ${asked.note}`);
  if (asked && record.type === "refund.refused" && asked.answer) found.push(asked.answer);
  if (facts.decision && event === `decision:${facts.decision.version}`) found.push(`Note: ${facts.decision.note}`);
  for (const seen of facts.acknowledged)
    if (event === `acknowledged:${seen.version}`) found.push(`${seen.cause}: ${seen.note}`);
  return found.filter(Boolean);
}

export function Timeline({ found }) {
  const [oldest, set] = useState(localStorage.getItem("tuition.console.oldest") === "1");
  const turn = () => {
    localStorage.setItem("tuition.console.oldest", oldest ? "" : "1");
    set(!oldest);
  };
  const all = entries(found);
  return html`<section class="panel timeline" aria-labelledby="timeline">
    <div class="head"><h2 id="timeline">Timeline</h2><${Chain} chain=${found.chain} count=${found.audit.length} />
      <span class="grow"></span><button type="button" class="quiet" onClick=${turn}>${oldest ? "Oldest first" : "Newest first"}</button></div>
    <ol>${(oldest ? all : [...all].reverse()).map((entry) => html`<${Entry} key=${entry.key} entry=${entry} />`)}</ol>
  </section>`;
}

/** Whether the audit trail holds: each record follows from the one before it. */
export function Chain({ chain, count }) {
  return chain.verified
    ? html`<span class="chip good">Chain verified, ${count} ${count === 1 ? "record" : "records"}</span>`
    : html`<span class="chip bad" role="alert">Chain broken: ${chain.problem}</span>`;
}

function Entry({ entry }) {
  const { at, title, source, kind, who, lines, record, id } = entry;
  const [shown, show] = useState(false);
  return html`<li class=${kind}>
    <span class="when"><${Time} at=${at} seconds=${true} /></span>
    <div class="what">
      <p class="title">${title}</p>
      ${lines.map((line) => html`<p key=${line}>${line}</p>`)}
      ${id && html`<p class="faint"><${Id} id=${id} /></p>`}
      ${shown && html`<dl class="record"><dt>Event</dt><dd><${Id} id=${record.event_id} /></dd><dt>Type</dt><dd><code>${record.type}</code></dd><dt>Hash</dt><dd><code>${record.hash}</code></dd></dl>`}
    </div>
    <span class="by">${who && html`<span>${who.student ? "the student" : html`<${UserLink} id=${who.id} />`}</span>`}<span class="chip">${SOURCES[source] ?? source}</span>
      ${record ? html`<button type="button" class="copy" aria-expanded=${shown ? "true" : "false"} aria-label=${`Record ${record.seq}`} onClick=${() => show(!shown)}>#${record.seq}</button>` : html`<span class="copy"></span>`}</span>
  </li>`;
}
