// The queue of refund requests that await approval, oldest first. Staff decide in the row.
import { day, moneyWithCode, relativeTime } from "../shared/format.js";
import { get, useResponse } from "./api.js";
import { Empty, EnrollmentStatus, Pager, Time, UserLink, WhenLoaded } from "./components.js";
import { html, useRef, useState } from "./preact.js";
import { RequestDialog } from "./refund_dialogs.js";
import { openDialog, routeTo } from "./route.js";

const LATE_MS = 3 * 86_400_000;

export function RefundRequests({ query, staff }) {
  const load = () => get("/admin/refund-requests", { limit: 50, cursor: query.cursor });
  const state = useResponse(load, [query.cursor]);
  const [message, setMessage] = useState("");
  const done = (text) => {
    setMessage(text ?? "");
    window.dispatchEvent(new Event("payment-changed"));
    state.reload();
    if (text) document.querySelector("h1").focus();
  };
  const empty = ({ refund_requests: requests, next_cursor: next }) =>
    !requests.length &&
    !next &&
    html`<${Empty} title="No refund request awaits approval"><p>Requests that students make after the refund window appear here.</p><//>`;
  const requests = state.response?.refund_requests ?? [];
  return html`<h1 tabindex="-1">Refund requests</h1>
    ${message && html`<p class="note good" role="status">${message}</p>`}
    <${WhenLoaded} of=${state} empty=${empty}>
      ${({ next_cursor: next }) => html`<div class="scroll"><table class="rows">
        <thead><tr><th>Requested</th><th>Student</th><th>Track</th><th class="right">Amount</th><th>Reason</th><th>Paid</th><th>Enrollment</th><th><span class="visually-hidden">Actions</span></th></tr></thead>
        <tbody>${requests.map((request) => html`<${Row} key=${request.id} request=${request} staff=${staff} />`)}</tbody>
      </table></div>
      <${Pager} path=${["refund-requests"]} query=${query} next=${next} count=${requests.length} />`}
    <//>
    ${staff.decides && ["approve", "decline"].includes(query.do) && html`<${Decision} key=${`${query.do} ${query.on}`} query=${query} requests=${requests} done=${done} />`}`;
}

function Row({ request, staff }) {
  const { id, at, payment_id: paymentId } = request;
  const isLate = Date.now() - new Date(at) > LATE_MS;
  return html`<tr data-id=${paymentId}>
    <td><a class="open" href=${routeTo(["payments", paymentId])}><${Time} at=${at} /></a><span class=${`why ${isLate ? "soon" : ""}`}>${relativeTime(at)}</span></td>
    <td><${UserLink} id=${request.user_id}>${request.email ?? request.user_id}<//></td>
    <td>${request.track}</td>
    <td class="right"><span class="sum">${moneyWithCode(request.amount, request.currency)}</span></td>
    <td class="long">${request.reason}${request.refund_due_by && html`<span class="why soon">due by ${day(request.refund_due_by)}</span>`}</td>
    <td><${Time} at=${request.paid_at} /></td>
    <td><${EnrollmentStatus} status=${request.enrollment} />${request.disputed && html` <span class="chip warn">disputed</span>`}</td>
    <td class="actions">${
      staff.decides &&
      html`
      ${request.can_approve && html`<button type="button" onClick=${() => openDialog("approve", { on: id })}>Approve…</button>`}
      ${request.can_decline && html`<button type="button" class="quiet" onClick=${() => openDialog("decline", { on: id })}>Decline…</button>`}`
    }</td>
  </tr>`;
}

/** The dialog named in the address, with the whole payment. It stays open if another member of staff decides first. */
function Decision({ query, requests, done }) {
  const row = useRef(null);
  row.current ??= requests.find((one) => one.id === query.on && one[query.do === "decline" ? "can_decline" : "can_approve"]);
  return row.current && html`<${LoadedDecision} row=${row.current} decision=${query.do} done=${done} />`;
}

function LoadedDecision({ row, decision, done }) {
  const state = useResponse(() => get(`/admin/payments/${encodeURIComponent(row.payment_id)}`), [row.payment_id]);
  const reload = (text) => {
    state.reload();
    done(text);
  };
  return html`<${WhenLoaded} of=${state}>${(details) => {
    const request = details.payment.refund_requests.find(({ id }) => id === row.id);
    return html`<${RequestDialog} details=${details} request=${request} decision=${decision} done=${reload} />`;
  }}<//>`;
}
