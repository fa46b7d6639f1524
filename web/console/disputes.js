// Disputes: what a bank asks back, until when it wants an answer, and what became of the student's enrollment.
import { read, useAnswer } from "./api.js";
import { distance, sum, words } from "./format.js";
import { html } from "./html.js";
import { Answer, Empty, Outside, Pager, Time, UserLink } from "./parts.js";
import { to } from "./place.js";

const SOON_MS = 3 * 86_400_000;

export function Disputes({ query }) {
  const state = query.state === "over" ? "over" : "open";
  const found = useAnswer(
    () => read("/admin/disputes/", { state, limit: 50, cursor: query.cursor }),
    [state, query.cursor],
  );
  return html`<h1 tabindex="-1">Disputes</h1>
    <nav class="tabs" aria-label="Disputes">
      <a href=${to(["disputes"])} aria-current=${state === "open" ? "true" : undefined}>Open, the soonest answer first</a>
      <a href=${to(["disputes"], { state: "over" })} aria-current=${state === "over" ? "true" : undefined}>Decided</a>
    </nav>
    <${Answer} of=${found} empty=${({ disputes, next_cursor: more }) => !disputes.length && !more && html`<${Empty} title=${state === "open" ? "No dispute is open" : "No dispute has been decided"} />`}>
      ${({ disputes, next_cursor: more }) => html`<div class="scroll"><table class="rows">
        <thead><tr><th>Respond by</th><th>Reason</th><th>State</th><th class="right">Amount</th><th>Student</th><th>Track</th><th>Enrollment</th><th>Opened</th><th>At Stripe</th></tr></thead>
        <tbody>${disputes.map((dispute) => html`<${Row} key=${dispute.dispute_id} dispute=${dispute} />`)}</tbody>
      </table></div>
      <${Pager} path=${["disputes"]} query=${query} next=${more} count=${disputes.length} />`}
    <//>`;
}

function Row({ dispute }) {
  return html`<tr>
    <td><a class="open" href=${to(["payments", dispute.payment_id])}><${Due} dispute=${dispute} /></a></td>
    <td>${words(dispute.reason)}</td>
    <td><span class=${`chip ${dispute.status === "won" ? "good" : dispute.over ? "bad" : "warn"}`}>${words(dispute.status).toLowerCase()}</span></td>
    <td class="right"><span class="sum">${sum(dispute.amount, dispute.currency)}</span></td>
    <td><${UserLink} id=${dispute.user_id}>${dispute.email ?? dispute.user_id}<//></td>
    <td>${dispute.track}</td>
    <td>${dispute.enrollment ? html`<span class=${`chip ${dispute.enrollment === "ENROLLED" ? "good" : ""}`}>${dispute.enrollment}</span>` : html`<span class="none">–</span>`}</td>
    <td><${Time} at=${dispute.created_at} /></td>
    <td><${Outside} href=${dispute.stripe_url}>Answer it<//></td>
  </tr>`;
}

function Due({ dispute }) {
  const { due_by: at, over } = dispute;
  if (over) return "decided";
  if (!at) return "no date given";
  const soon = new Date(at) - Date.now() < SOON_MS;
  return html`<${Time} at=${at} /><span class=${`why ${soon ? "soon" : ""}`}>${distance(at)}</span>`;
}
