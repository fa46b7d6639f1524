// A timeline in words: the events of a payment or of a student, with the technical ones on demand.
import { Id, installmentText, productOf, Time, usePages, UserLink } from "./components.js";
import { MomentForm } from "./moment.js";
import { planName } from "./plans.js";
import { html, useState } from "./preact.js";
import { NOT_RECORDED } from "./record_words.js";
import { routeTo } from "./route.js";
import { timelineEntries } from "./timeline_entries.js";

const SOURCES = { pull: "sync", reconcile: "reconciler", stripe: "Stripe", request: "student" };
const OLDEST_FIRST = "tuition.console.oldest-first";
const TECHNICAL = "tuition.console.technical-events";

/** `[on, toggle]` of a choice that this browser remembers. */
function useChoice(name) {
  const [on, set] = useState(localStorage.getItem(name) === "1");
  const toggle = () => {
    localStorage.setItem(name, on ? "" : "1");
    set(!on);
  };
  return [on, toggle];
}

/** The name of an entry’s payment, among those of others. */
const paymentName = (payment) => [productOf(payment), payment.plan_id && installmentText(payment)].filter(Boolean).join(", ");

/** The timeline of one payment. */
export function Timeline({ details }) {
  const entries = timelineEntries(details);
  return html`<${EntryList} entries=${entries} status=${html`<${AuditStatus} chain=${details.chain} count=${details.audit.length} />`}>
    <${MomentForm} payment=${details.payment} /><//>`;
}

/** A panel with these entries, oldest first in `entries`. `status` is beside the heading. */
export function EntryList({ entries, status, children }) {
  const [oldestFirst, toggleOrder] = useChoice(OLDEST_FIRST);
  const [technical, toggleTechnical] = useChoice(TECHNICAL);
  const hidden = entries.filter((entry) => entry.technical).length;
  const listed = technical ? entries : entries.filter((entry) => !entry.technical);
  const [shown, more] = usePages(oldestFirst ? listed : [...listed].reverse());
  return html`<section class="panel timeline" aria-labelledby="timeline">
    <div class="head"><h2 id="timeline">Timeline</h2>${status}<span class="grow"></span>
      <label class="check"><input type="checkbox" checked=${technical} onChange=${toggleTechnical} /> Show technical events${hidden > 0 && ` (${hidden})`}</label>
      <button type="button" class="quiet" aria-pressed=${oldestFirst ? "true" : "false"} onClick=${toggleOrder}>Oldest first</button></div>
    ${children}
    <ol>${shown.map((entry) => html`<${Entry} key=${entry.key} entry=${entry} technical=${technical} />`)}</ol>
    ${more}
  </section>`;
}

/** Whether the audit trail is intact: each record is chained to the one before it. */
export function AuditStatus({ chain, count }) {
  return chain.verified
    ? html`<span class="chip good">Audit trail verified (${count} ${count === 1 ? "record" : "records"})</span>`
    : html`<span class="chip bad" role="alert">Audit trail broken: ${chain.problem}</span>`;
}

function Entry({ entry, technical }) {
  const { at, title, source, kind, actor, record, id, payment, plan } = entry;
  const [open, setOpen] = useState(false);
  const lines = technical ? entry.lines : entry.words;
  return html`<li class=${kind}>
    <span class="when"><${Time} at=${at} seconds=${true} /></span>
    <div class="what">
      <p class="title">${title}${payment && html` · <a href=${routeTo(["payments", payment.payment_id])}>${paymentName(payment)}</a>`}${plan && html` · <a href=${routeTo(["plans", plan.plan_id])}>${planName(plan)}</a>`}</p>
      ${technical && record && title !== record.type && html`<p class="faint"><code>${record.type}</code></p>`}
      ${lines.map((line) => html`<p key=${line}>${line}</p>`)}
      ${technical && id && html`<p class="faint"><${Id} id=${id} /></p>`}
      ${open && html`<dl class="record"><dt>Event</dt><dd><${Id} id=${record.event_id} /></dd><dt>Type</dt><dd><code>${record.type}</code></dd><dt>Hash</dt><dd><code>${record.hash}</code></dd><dt>Facts</dt><dd><code>${record.facts ? JSON.stringify(record.facts) : NOT_RECORDED}</code></dd></dl>
        ${record.subject.startsWith("pay_") && html`<p><a href=${routeTo(["payments", record.subject], { version: record.seq })}>The payment after record ${record.seq}</a></p>`}`}
    </div>
    <span class="by">${actor && html`<span>${actor.isStudent ? "the student" : html`<${UserLink} id=${actor.id} />`}</span>`}${(technical || source === "staff") && html`<span class="chip">${SOURCES[source] ?? source}</span>`}
      ${record ? html`<button type="button" class="copy" aria-expanded=${open ? "true" : "false"} aria-label=${`Record ${record.seq}, ${title}`} onClick=${() => setOpen(!open)}>#${record.seq}</button>` : html`<span class="copy"></span>`}</span>
  </li>`;
}
