// One payment: its state, why it needs attention, its timeline, and the actions of staff.
import { moneyWithCode, sentenceCase } from "../shared/format.js";
import { AccessDialog, ResolveDialog } from "./access_dialogs.js";
import { explain, get, paymentChanged, useResponse } from "./api.js";
import { detailText, kindOf, suggestedAction } from "./attention_reasons.js";
import { DueBy, Empty, Failure, installmentText, priceText, productOf, WhenLoaded, Status, Time, UserLink } from "./components.js";
import { Documents } from "./documents.js";
import { allowedEmails, EmailDialog } from "./email_dialog.js";
import { Evidence, EvidenceDialog } from "./evidence.js";
import { Explanation } from "./explanation.js";
import { MomentNotice, NoSuchMoment } from "./moment.js";
import { Notes } from "./notes.js";
import { PaymentFields } from "./payment_fields.js";
import { PlanStatus } from "./plans.js";
import { html, useRef, useState } from "./preact.js";
import { RefundDialog, RequestDialog } from "./refund_dialogs.js";
import { Result } from "./result.js";
import { lastList, openDialog, routeTo } from "./route.js";
import { enrollmentStatus, refundState } from "./status.js";
import { Timeline } from "./timeline.js";

export function Payment({ id, query, staff }) {
  const { at, version } = query;
  const state = useResponse(() => get(`/admin/payments/${encodeURIComponent(id)}`, { at, version }), [id, at, version]);
  const [result, setResult] = useState(undefined);
  const done = (text) => {
    setResult(text ? { text } : undefined);
    paymentChanged();
    state.reload();
  };
  if ((at || version) && [404, 422].includes(state.error?.status))
    return html`<${NoSuchMoment} id=${id} query=${query} text=${explain(state.error)} />`;
  if (state.error?.status === 404)
    return html`<h1 tabindex="-1">Payment not found</h1><${Empty} title=${`There is no payment ${id}`}><a href=${lastList()}>Back to the list</a><//>`;
  return html`<p class="crumbs"><a data-up href=${lastList()}>← Back to the list</a> <kbd>Esc</kbd></p>
    ${!state.response && html`<h1 tabindex="-1">Payment</h1>`}
    <${WhenLoaded} of=${state}>${(details) => html`<${Details} details=${details} query=${query} staff=${staff} result=${result} done=${done} />`}<//>`;
}

function Details({ details, query, staff, result, done }) {
  const { payment, groups } = details;
  const { currency, refund_amount: refunded, refundable_amount: refundable } = payment;
  const { enrollment } = groups.payment;
  const { plan } = details;
  const grantsAccess = plan ? plan.grants_access : groups.payment.grants_access;
  const price = priceText(payment);
  const isDisputed = payment.dispute === "open";
  return html`
    <div class="headline">
      <h1 tabindex="-1" data-title=${`${payment.email ?? payment.user_id}, ${productOf(payment)}`}>${moneyWithCode(payment.amount, currency)} for ${productOf(payment)}</h1>
      <${Status} payment=${payment} /><${Failure} failure=${payment.failure} />
      <span class="grow"></span>
      ${staff.decides && html`<${Actions} details=${details} />`}
    </div>
    <p class="summary">
      <span><${UserLink} id=${payment.user_id}>${payment.email ?? payment.user_id}<//></span>
      ${payment.plan_id && html`<span><a href=${routeTo(["plans", payment.plan_id])}>${sentenceCase(installmentText(payment))} of a payment plan</a>${plan && html` <${PlanStatus} plan=${plan} />`}</span>`}
      <span>created <${Time} at=${payment.created_at} /></span>
      ${price && html`<span>${price}</span>`}
      ${refunded > 0 && html`<span>${moneyWithCode(refunded, currency)} refunded${isDisputed ? "" : `, ${moneyWithCode(refundable, currency)} refundable`}</span>`}
      ${isDisputed && html`<span>Disputed: no refund until the bank decides</span>`}
      <span>${grantsAccess ? "Access granted" : "No access"}</span>
      ${enrollment && html`<span>Student: ${enrollmentStatus(enrollment)[0]}</span>`}
    </p>
    <${Result} result=${result} takesFocus=${true} />
    <${MomentNotice} details=${details} />
    <${AttentionNotes} payment=${payment} staff=${staff} />
    ${!details.moment && html`<${Explanation} payment=${payment} grantsAccess=${grantsAccess} />`}
    <${RefundRequests} details=${details} staff=${staff} />
    ${!details.moment && html`<${Documents} payment=${payment} />`}
    ${!details.moment && html`<${Evidence} details=${details} staff=${staff} />`}
    <div class="columns"><${Timeline} details=${details} /><div>
      <${PaymentFields} groups=${groups} isDisputed=${isDisputed} moment=${details.moment} />
      ${details.notes && html`<${Notes} topic=${{ payment_id: payment.payment_id }} notes=${details.notes} staff=${staff} done=${done} />`}</div></div>
    ${staff.decides && html`<${OpenDialog} key=${`${query.do} ${query.on}`} query=${query} details=${details} done=${done} />`}`;
}

/** The actions that the API allows now, by name; those of refund requests are in `requestActions`. */
const allowedActions = ({ actions }) =>
  Object.fromEntries(actions.filter(({ request }) => !request).map((one) => [one.action, one]));

/** The names of the actions that the API allows for a refund request. */
const requestActions = ({ actions }, id) => actions.filter(({ request }) => request === id).map(({ action }) => action);

/** A button per action. Each opens a dialog that states the consequence. */
function Actions({ details }) {
  const { refund, accept_amount: accept, restore, revoke } = allowedActions(details);
  const quiet = (name, text) => html`<button type="button" class="quiet" onClick=${() => openDialog(name)}>${text}</button>`;
  return html`<span class="actions">
    ${refund && html`<button type="button" data-shortcut="r" onClick=${() => openDialog("refund")}>Refund…</button>`}
    ${accept && quiet("accept_amount", "Accept amount…")}
    ${restore && quiet("restore", "Restore access…")}
    ${revoke && quiet("revoke", "Revoke access…")}
    ${allowedEmails(details).length > 0 && quiet("send_email", "Send email…")}
  </span>`;
}

/** The dialog named in the address, if the payment's state allows it. It stays open if another member of staff acts first. */
function OpenDialog({ query, details, done }) {
  const { payment } = details;
  const request = payment.refund_requests.find(({ id }) => id === query.on);
  const decisions = request ? requestActions(details, request.id) : [];
  const reason = payment.attention.find(({ name }) => name === query.on);
  const allowed = { ...allowedActions(details), resolve: reason };
  for (const decision of decisions) allowed[decision] = true;
  allowed.send_evidence = details.facts.disputes.find(({ dispute_id: id, over }) => id === query.on && !over);
  const opened = useRef(Object.hasOwn(allowed, query.do ?? "") && allowed[query.do]);
  if (!opened.current) return null;
  const shared = { details, done };
  if (query.do === "send_evidence") return html`<${EvidenceDialog} ...${shared} dispute=${query.on} />`;
  if (query.do === "refund") return html`<${RefundDialog} ...${shared} />`;
  if (query.do === "resolve")
    return html`<${ResolveDialog} ...${shared} reason=${reason ?? opened.current} present=${Boolean(reason)} />`;
  if (query.do === "send_email") return html`<${EmailDialog} ...${shared} kinds=${allowedEmails(details)} />`;
  if (request) return html`<${RequestDialog} ...${shared} request=${request} decision=${query.do} />`;
  return html`<${AccessDialog} ...${shared} action=${query.do} allowed=${allowed[query.do]} />`;
}

function AttentionNotes({ payment, staff }) {
  return payment.attention.map(
    (reason) => html`<div key=${reason.name} class="note warn attention">
    <div><p><strong>Needs attention:</strong> ${detailText(reason)}.</p><${DueBy} reason=${reason} /><p class="small">${suggestedAction(reason)}</p></div>
    ${staff.decides && !["refund_request", "withdrawal"].includes(kindOf(reason)) && html`<button type="button" class="quiet" onClick=${() => openDialog("resolve", { on: reason.name })}>Mark as resolved…</button>`}
  </div>`,
  );
}

function RefundRequests({ details, staff }) {
  const { payment } = details;
  if (!payment.refund_requests.length) return null;
  return html`<section class="panel" aria-labelledby="requests"><h2 id="requests">Refunds and refund requests</h2>
    <div class="scroll" tabindex="0" role="region" aria-labelledby="requests"><table><caption class="visually-hidden">Refunds and refund requests</caption><thead><tr><th scope="col">Requested</th><th scope="col">By</th><th scope="col" class="right">Amount</th><th scope="col">State</th><th scope="col">Reason</th><th scope="col">Notes</th><th scope="col"><span class="visually-hidden">Actions</span></th></tr></thead>
    <tbody>${payment.refund_requests.map((request) => html`<${RequestRow} key=${request.id} request=${request} details=${details} staff=${staff} />`)}</tbody></table></div></section>`;
}

function RequestRow({ request, details, staff }) {
  const { payment } = details;
  const [state, color] = refundState(request.state);
  const message = request.message && `to the student: ${request.message}`;
  const notes = [request.note, message, request.answer, request.decided_by && `decided by ${request.decided_by}`];
  const allowed = staff.decides ? requestActions(details, request.id) : [];
  return html`<tr>
    <td><${Time} at=${request.at} /></td>
    <td>${request.by === payment.user_id ? "the student" : html`<${UserLink} id=${request.by} />`}</td>
    <td class="right"><span class="sum">${moneyWithCode(request.amount, payment.currency)}</span></td>
    <td><span class=${`chip ${color}`} title=${request.state}>${state}</span></td>
    <td class="long" dir="auto">${request.reason}</td>
    <td class="long">${notes.filter(Boolean).join("; ")}</td>
    <td class="actions">
      ${allowed.includes("approve") && html`<button type="button" onClick=${() => openDialog("approve", { on: request.id })}>Approve…</button>`}
      ${allowed.includes("decline") && html`<button type="button" class="quiet" onClick=${() => openDialog("decline", { on: request.id })}>Decline…</button>`}
    </td>
  </tr>`;
}
