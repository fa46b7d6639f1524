// Why a payment gives access or not: each condition with its facts, and the records that brought them.
import { get, useResponse } from "./api.js";
import { None, Time, WhenLoaded } from "./components.js";
import { html, useState } from "./preact.js";
import { routeTo } from "./route.js";
import { planStatus } from "./status.js";

const TERMS = {
  settled: "It was paid",
  not_revoked: "Staff have not revoked access",
  no_dispute_lost: "No dispute was lost",
  not_refunded: "It was not refunded in full",
  not_withdrawn: "The student has not withdrawn from the contract",
  amount_agrees: "The amount received is the price, or staff accepted it",
};

/** Closed until staff open it, so that a payment's page costs no second request. */
export function Explanation({ payment, grantsAccess }) {
  const [open, setOpen] = useState(false);
  return html`<section class=${open ? "panel" : "closed"} aria-label="Why access">
    <button type="button" class="quiet" aria-expanded=${open ? "true" : "false"} onClick=${() => setOpen(!open)}>${grantsAccess ? "Why access?" : "Why no access?"}</button>
    ${open && html`<${Terms} payment=${payment} />`}</section>`;
}

function Terms({ payment: { payment_id: id, version } }) {
  const state = useResponse(() => get(`/admin/payments/${encodeURIComponent(id)}/explain`), [id, version]);
  return html`<${WhenLoaded} of=${state}>${({ sentence, terms, plan_id: plan, plan_changes: changes }) => html`<p class="strong">${sentence}</p>
    ${changes.length > 0 && html`<ul class="plain">${changes.map((change) => html`<${PlanChange} key=${`${change.subject} ${change.seq}`} change=${change} payment=${id} />`)}</ul>`}
    ${plan && html`<p class="small">The conditions below are those of this payment alone. <a href=${routeTo(["plans", plan])}>Open the plan</a></p>`}
    <div class="scroll" tabindex="0" role="region" aria-label="Conditions of access"><table><thead><tr><th scope="col">Condition</th><th scope="col">Holds</th><th scope="col">Records</th><th scope="col">Facts</th></tr></thead>
    <tbody>${terms.map((term) => html`<${TermRow} key=${term.term} id=${id} term=${term} />`)}</tbody></table></div>`}<//>`;
}

/** A change of the plan’s status, with the record that brought it: of the plan, or of one of its payments. */
function PlanChange({ change: { at, subject, seq, type, to }, payment }) {
  const isOfPlan = subject.startsWith("pln_");
  const address = isOfPlan ? routeTo(["plans", subject]) : routeTo(["payments", subject], { version: seq });
  const of = isOfPlan ? "the plan" : subject === payment ? "this payment" : "another payment";
  return html`<li><${Time} at=${at} /> The plan is “${planStatus(to)[0]}”: <a href=${address} title=${type}>record ${seq} of ${of}</a></li>`;
}

function TermRow({ id, term: { term, holds, facts, records } }) {
  return html`<tr>
    <td title=${term}>${TERMS[term] ?? term}</td>
    <td><span class=${`chip ${holds ? "good" : "bad"}`}>${holds ? "yes" : "no"}</span></td>
    <td>${records.length ? records.map((seq) => html`<a key=${seq} href=${routeTo(["payments", id], { version: seq })}>#${seq}</a> `) : html`<${None} />`}</td>
    <td class="long">${Object.keys(facts).length ? html`<code>${JSON.stringify(facts)}</code>` : html`<${None} />`}</td>
  </tr>`;
}
