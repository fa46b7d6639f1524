// The queue of refund requests that await approval, oldest first. Staff decide in the row, one or several at once.
import { day, moneyWithCode, relativeTime } from "../shared/format.js";
import { get, paymentChanged, useResponse } from "./api.js";
import { Empty, EnrollmentStatus, Pager, PlanLink, productOf, Time, UserLink, WhenLoaded } from "./components.js";
import { html, useRef } from "./preact.js";
import { Choose, ChooseAll, QueueBar, useQueue } from "./queue.js";
import { RequestDialog } from "./refund_dialogs.js";
import { RequestBatch } from "./request_batch.js";
import { Result } from "./result.js";
import { openDialog, routeTo } from "./route.js";

const LATE_MS = 3 * 86_400_000;

const mayDecide = (request, decision) => request[decision === "decline" ? "can_decline" : "can_approve"];
const nameOf = (request) => `request of ${request.email ?? request.user_id} for ${productOf(request)}`;

export function RefundRequests({ query, staff }) {
  const load = () => get("/admin/refund-requests", { limit: 50, cursor: query.cursor });
  const state = useResponse(load, [query.cursor]);
  const requests = state.response?.refund_requests ?? [];
  const rows = requests.map((request) => ({ key: request.id, canChoose: request.can_approve || request.can_decline, request }));
  const queue = useQueue(rows, state, paymentChanged);
  const { done, result } = queue;
  const empty = ({ refund_requests: shown, next_cursor: next }) =>
    !shown.length &&
    !next &&
    html`<${Empty} title="No refund request awaits approval"><p>Requests that students make after the refund window appear here.</p><//>`;
  const open = (decision) => queue.withChosen(() => openDialog(`${decision}-selected`));
  return html`<h1 tabindex="-1">Refund requests</h1>
    <${Result} result=${result} />
    <${WhenLoaded} of=${state} empty=${empty}>
      ${({ next_cursor: next }) => html`
      ${staff.decides && html`<${QueueBar} queue=${queue}>
        <button type="button" class="quiet" onClick=${() => open("approve")}>Approve selected…</button>
        <button type="button" class="quiet" onClick=${() => open("decline")}>Decline selected…</button><//>`}
      <div class="scroll"><table class="rows queue">
        <caption class="visually-hidden">Refund requests that await approval, oldest first</caption>
        <thead><tr>${staff.decides && html`<${ChooseAll} queue=${queue} />`}<th scope="col">Requested</th><th scope="col">Student</th><th scope="col">Track</th><th scope="col" class="right">Amount</th><th scope="col">Reason</th><th scope="col">Paid</th><th scope="col">Enrollment</th><th scope="col"><span class="visually-hidden">Actions</span></th></tr></thead>
        <tbody>${rows.map((row) => html`<${Row} key=${row.key} row=${row} queue=${queue} staff=${staff} />`)}</tbody>
      </table></div>
      <${Pager} path=${["refund-requests"]} query=${query} next=${next} count=${requests.length} />`}
    <//>
    ${staff.decides && ["approve", "decline"].includes(query.do) && html`<${Decision} key=${`${query.do} ${query.on}`} query=${query} requests=${requests} done=${done} />`}
    ${staff.decides && ["approve-selected", "decline-selected"].includes(query.do) && html`<${BatchDecision} key=${query.do} query=${query} rows=${rows} queue=${queue} done=${done} />`}`;
}

function Row({ row, queue, staff }) {
  const { request, key } = row;
  const { at, payment_id: paymentId } = request;
  const isLate = Date.now() - new Date(at) > LATE_MS;
  const of = html`<span class="visually-hidden"> ${nameOf(request)}</span>`;
  return html`<tr data-id=${paymentId} data-row=${key}>
    ${staff.decides && html`<${Choose} queue=${queue} row=${row} name=${nameOf(request)} />`}
    <td><a class="open" href=${routeTo(["payments", paymentId])}><${Time} at=${at} />${of}</a><span class=${`why ${isLate ? "soon" : ""}`}>${relativeTime(at)}</span></td>
    <td class="person"><${UserLink} id=${request.user_id}>${request.email ?? request.user_id}<//></td>
    <td>${productOf(request)}<${PlanLink} payment=${request} text="payment plan" /></td>
    <td class="right"><span class="sum">${moneyWithCode(request.amount, request.currency)}</span></td>
    <td class="long" dir="auto">${request.reason}${request.refund_due_by && html`<span class="why soon">due by ${day(request.refund_due_by)}</span>`}</td>
    <td data-label="Paid"><${Time} at=${request.paid_at} /></td>
    <td><${EnrollmentStatus} status=${request.enrollment} />${request.disputed && html` <span class="chip warn">disputed</span>`}</td>
    <td class="actions">${
      staff.decides &&
      html`
      ${request.can_approve && html`<button type="button" data-next onClick=${() => openDialog("approve", { on: key })}>Approve…${of}</button>`}
      ${request.can_decline && html`<button type="button" class="quiet" data-next onClick=${() => openDialog("decline", { on: key })}>Decline…${of}</button>`}`
    }</td>
  </tr>`;
}

/** The dialog named in the address, with the whole payment. It stays open if another member of staff decides first. */
function Decision({ query, requests, done }) {
  const row = useRef(null);
  row.current ??= requests.find((one) => one.id === query.on && mayDecide(one, query.do));
  return row.current && html`<${LoadedDecision} row=${row.current} decision=${query.do} done=${done} />`;
}

/** The dialog about one request, `row` with `id` and `payment_id`. `done(ids, text)` reloads the list behind it. */
export function LoadedDecision({ row, decision, done }) {
  const state = useResponse(() => get(`/admin/payments/${encodeURIComponent(row.payment_id)}`), [row.payment_id]);
  const reload = (text) => {
    if (text) done([row.id], row.email ? `${row.email}: ${text}` : text);
    else done([]);
    state.reload();
  };
  return html`<${WhenLoaded} of=${state}>${(details) => {
    const request = details.payment.refund_requests.find(({ id }) => id === row.id);
    return html`<${RequestDialog} details=${details} request=${request} decision=${decision} done=${reload} />`;
  }}<//>`;
}

/** The dialog for the rows that were chosen when it opened. After a reload of the page none is chosen, and it stays closed. */
function BatchDecision({ query, rows, queue, done }) {
  const decision = query.do.split("-")[0];
  const chosen = useRef(rows.filter(({ key }) => queue.chosen.includes(key)).map(({ request }) => request));
  if (!chosen.current.length) return null;
  const finish = (ids, text) => done(ids, text, ids.length === chosen.current.length ? "good" : "warn");
  return html`<${RequestBatch} requests=${chosen.current} decision=${decision} mayDecide=${(request) => mayDecide(request, decision)} done=${finish} />`;
}
