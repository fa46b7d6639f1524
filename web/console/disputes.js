// Disputes: the amount, the date by which the bank wants an answer, and the student's enrollment.
import { moneyWithCode, relativeTime, sentenceCase } from "../shared/format.js";
import { get, useResponse } from "./api.js";
import { Empty, EnrollmentStatus, WhenLoaded, Pager, StripeLink, Time, UserLink } from "./components.js";
import { html } from "./preact.js";
import { routeTo } from "./route.js";

const SOON_MS = 3 * 86_400_000;

export function Disputes({ query }) {
  const state = query.state === "over" ? "over" : "open";
  const load = () => get("/admin/disputes", { state, limit: 50, cursor: query.cursor });
  const response = useResponse(load, [state, query.cursor]);
  const empty = ({ disputes, next_cursor: next }) =>
    !disputes.length &&
    !next &&
    html`<${Empty} title=${state === "open" ? "No open disputes" : "No decided disputes"} />`;
  return html`<h1 tabindex="-1">Disputes</h1>
    <nav class="tabs" aria-label="Disputes">
      <a href=${routeTo(["disputes"])} aria-current=${state === "open" ? "true" : undefined}>Open (due soonest first)</a>
      <a href=${routeTo(["disputes"], { state: "over" })} aria-current=${state === "over" ? "true" : undefined}>Decided</a>
    </nav>
    <${WhenLoaded} of=${response} empty=${empty}>
      ${({ disputes, next_cursor: next }) => html`<div class="scroll"><table class="rows">
        <thead><tr><th>Respond by</th><th>Reason</th><th>Status</th><th class="right">Amount</th><th>Student</th><th>Track</th><th>Enrollment</th><th>Opened</th><th>Stripe</th></tr></thead>
        <tbody>${disputes.map((dispute) => html`<${Row} key=${dispute.dispute_id} dispute=${dispute} />`)}</tbody>
      </table></div>
      <${Pager} path=${["disputes"]} query=${query} next=${next} count=${disputes.length} />`}
    <//>`;
}

function Row({ dispute }) {
  const color = dispute.status === "won" ? "good" : dispute.over ? "bad" : "warn";
  return html`<tr>
    <td><a class="open" href=${routeTo(["payments", dispute.payment_id])}><${DueDate} dispute=${dispute} /></a></td>
    <td>${sentenceCase(dispute.reason)}</td>
    <td><span class=${`chip ${color}`}>${sentenceCase(dispute.status).toLowerCase()}</span></td>
    <td class="right"><span class="sum">${moneyWithCode(dispute.amount, dispute.currency)}</span></td>
    <td><${UserLink} id=${dispute.user_id}>${dispute.email ?? dispute.user_id}<//></td>
    <td>${dispute.track}</td>
    <td><${EnrollmentStatus} status=${dispute.enrollment} /></td>
    <td><${Time} at=${dispute.created_at} /></td>
    <td><${StripeLink} href=${dispute.stripe_url}>${dispute.over ? "View in Stripe" : "Respond in Stripe"}<//></td>
  </tr>`;
}

function DueDate({ dispute }) {
  const { due_by: dueBy, over } = dispute;
  if (over) return "Decided";
  if (!dueBy) return "No due date";
  const isSoon = new Date(dueBy) - Date.now() < SOON_MS;
  return html`<${Time} at=${dueBy} /><span class=${`why ${isSoon ? "soon" : ""}`}>${relativeTime(dueBy)}</span>`;
}
