// The queue of disputes: the amount, the date by which the bank wants an answer, and the student's enrollment.
import { moneyWithCode, relativeTime, sentenceCase } from "../shared/format.js";
import { ResolveDialog } from "./access_dialogs.js";
import { get, paymentChanged, useResponse } from "./api.js";
import { Empty, EnrollmentStatus, isSoon, Pager, PlanLink, productOf, StripeLink, Time, UserLink, WhenLoaded } from "./components.js";
import { html, useRef } from "./preact.js";
import { Choose, ChooseAll, QueueBar, useQueue } from "./queue.js";
import { ResolveBatch } from "./resolve_batch.js";
import { Result } from "./result.js";
import { openDialog, routeTo } from "./route.js";

/** A dispute as a row of the queue. It can be marked as resolved while it is a reason for attention. */
const rowOf = (dispute) => ({
  key: dispute.dispute_id,
  canChoose: Boolean(dispute.attention),
  dispute,
  payment: dispute,
  reason: dispute.attention,
});

const nameOf = ({ dispute }) => `dispute of ${dispute.email ?? dispute.user_id}, ${productOf(dispute)}`;

export function Disputes({ query, staff }) {
  const state = query.state === "over" ? "over" : "open";
  const load = () => get("/admin/disputes", { state, limit: 50, cursor: query.cursor });
  const response = useResponse(load, [state, query.cursor]);
  const rows = (response.response?.disputes ?? []).map(rowOf);
  const queue = useQueue(rows, response, paymentChanged);
  const { done, result } = queue;
  const empty = ({ disputes, next_cursor: next }) =>
    !disputes.length &&
    !next &&
    html`<${Empty} title=${state === "open" ? "No open disputes" : "No decided disputes"} />`;
  return html`<h1 tabindex="-1">Disputes</h1>
    <nav class="tabs" aria-label="Disputes">
      <a href=${routeTo(["disputes"])} aria-current=${state === "open" ? "true" : undefined}>Open (due soonest first)</a>
      <a href=${routeTo(["disputes"], { state: "over" })} aria-current=${state === "over" ? "true" : undefined}>Decided</a>
    </nav>
    <${Result} result=${result} />
    <${WhenLoaded} of=${response} empty=${empty}>
      ${({ disputes, next_cursor: next }) => html`
      ${staff.decides && html`<${QueueBar} queue=${queue}>
        <button type="button" class="quiet" onClick=${() => queue.withChosen(() => openDialog("resolve-selected"))}>Mark selected as resolved…</button><//>`}
      <div class="scroll"><table class="rows queue">
        <caption class="visually-hidden">${state === "open" ? "Open disputes, due soonest first" : "Decided disputes, newest first"}</caption>
        <thead><tr>${staff.decides && html`<${ChooseAll} queue=${queue} />`}<th scope="col">${state === "open" ? "Respond by" : "Decided"}</th><th scope="col">Reason</th><th scope="col">Status</th><th scope="col" class="right">Amount</th><th scope="col">Student</th><th scope="col">Track</th><th scope="col">Enrollment</th><th scope="col">Opened</th><th scope="col"><span class="visually-hidden">Actions</span></th></tr></thead>
        <tbody>${rows.map((row) => html`<${Row} key=${row.key} row=${row} queue=${queue} staff=${staff} />`)}</tbody>
      </table></div>
      <${Pager} path=${["disputes"]} query=${query} next=${next} count=${disputes.length} />`}
    <//>
    ${staff.decides && html`<${OpenDialog} key=${`${query.do} ${query.on}`} query=${query} rows=${rows} queue=${queue} done=${done} />`}`;
}

function Row({ row, queue, staff }) {
  const { dispute, key } = row;
  const color = dispute.status === "won" ? "good" : dispute.over ? "bad" : "warn";
  const of = html`<span class="visually-hidden"> ${nameOf(row)}</span>`;
  return html`<tr data-id=${dispute.payment_id} data-row=${key}>
    ${staff.decides && html`<${Choose} queue=${queue} row=${row} name=${nameOf(row)} />`}
    <td><a class="open" href=${routeTo(["payments", dispute.payment_id])}><${DueDate} dispute=${dispute} />${of}</a></td>
    <td>${sentenceCase(dispute.reason)}</td>
    <td><span class=${`chip ${color}`}>${sentenceCase(dispute.status).toLowerCase()}</span></td>
    <td class="right"><span class="sum">${moneyWithCode(dispute.amount, dispute.currency)}</span></td>
    <td class="person"><${UserLink} id=${dispute.user_id}>${dispute.email ?? dispute.user_id}<//></td>
    <td>${productOf(dispute)}<${PlanLink} payment=${dispute} text="payment plan" /></td>
    <td><${EnrollmentStatus} status=${dispute.enrollment} /></td>
    <td data-label="Opened"><${Time} at=${dispute.created_at} /></td>
    <td class="actions"><${StripeLink} href=${dispute.stripe_url}>${dispute.over ? "View in Stripe" : "Respond in Stripe"}<//>
      ${staff.decides && row.canChoose && html`<button type="button" class="quiet" data-next onClick=${() => openDialog("resolve", { on: key })}>Mark as resolved…${of}</button>`}</td>
  </tr>`;
}

function DueDate({ dispute }) {
  const { due_by: dueBy, over } = dispute;
  if (over) return "Decided";
  if (!dueBy) return "No due date";
  return html`<${Time} at=${dueBy} /><span class=${`why ${isSoon(dueBy) ? "soon" : ""}`}>${relativeTime(dueBy)}</span>`;
}

/** The dialog named in the address, if its row is in the list. It stays open if another member of staff acts first. */
function OpenDialog({ query, rows, queue, done }) {
  const row = rows.find(({ key }) => key === query.on);
  const opened = useRef(undefined);
  const chosen = useRef(rows.filter(({ key }) => queue.chosen.includes(key)));
  if (query.do === "resolve-selected" && chosen.current.length)
    return html`<${ResolveBatch} rows=${chosen.current} nameOf=${nameOf} done=${done} />`;
  if (row?.canChoose) opened.current ??= row;
  if (query.do !== "resolve" || !opened.current) return null;
  const { dispute, reason, key } = opened.current;
  const finish = (text) => done(text ? [key] : [], text);
  return html`<${ResolveDialog} details=${{ payment: dispute }} reason=${row?.reason ?? reason} present=${Boolean(row?.reason)} done=${finish} />`;
}
