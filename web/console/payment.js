// One payment: what it is, what needs a person, everything that happened, and what staff may do about it.
import { read, useAnswer } from "./api.js";
import { plain, ways } from "./attention.js";
import { Acknowledge, Answering, Refund, Standing } from "./decide.js";
import { Fields } from "./fields.js";
import { sum } from "./format.js";
import { html, useState } from "./html.js";
import { Answer, Empty, Failure, Status, Time, UserLink } from "./parts.js";
import { lastList, open } from "./place.js";
import { Timeline } from "./timeline.js";

export function Payment({ id, query, staff }) {
  const found = useAnswer(() => read(`/admin/payments/${encodeURIComponent(id)}/`), [id]);
  const [said, say] = useState("");
  const done = (text) => {
    say(text ?? "");
    window.dispatchEvent(new Event("decided"));
    found.again();
  };
  if (found.error?.status === 404)
    return html`<h1 tabindex="-1">No such payment</h1><${Empty} title=${`There is no payment ${id}`}><a href=${lastList()}>Back to the list</a><//>`;
  return html`<p class="crumbs"><a data-up href=${lastList()}>← Back to the list</a> <kbd>Esc</kbd></p>
    ${!found.answer && html`<h1 tabindex="-1">Payment</h1>`}
    <${Answer} of=${found}>${(answer) => html`<${Page} found=${answer} query=${query} staff=${staff} said=${said} done=${done} />`}<//>`;
}

function Page({ found, query, staff, said, done }) {
  const { payment, groups } = found;
  return html`
    <div class="headline">
      <h1 tabindex="-1">${sum(payment.amount, payment.currency)} for ${payment.track}</h1>
      <${Status} status=${payment.status} /><${Failure} failure=${payment.failure} />
      <span class="grow"></span>
      ${staff.decides && html`<${Actions} found=${found} />`}
    </div>
    <p class="facts">
      <span><${UserLink} id=${payment.user_id}>${payment.email ?? payment.user_id}<//></span>
      <span>begun <${Time} at=${payment.created_at} /></span>
      ${payment.refund_amount > 0 && html`<span>${sum(payment.refund_amount, payment.currency)} refunded, ${sum(payment.left, payment.currency)} left</span>`}
      <span>${groups.payment.grants_access ? "gives access" : "gives no access"}</span>
      ${groups.payment.enrollment && html`<span>student ${groups.payment.enrollment}</span>`}
    </p>
    ${said && html`<p class="note good" role="status">${said}</p>`}
    <${Causes} payment=${payment} staff=${staff} />
    <${Requests} payment=${payment} staff=${staff} />
    <div class="columns"><${Timeline} found=${found} /><${Fields} groups=${groups} /></div>
    ${staff.decides && html`<${Asked} key=${query.do} query=${query} found=${found} done=${done} />`}`;
}

/** What may be done now; each opens a dialog that says what will happen. */
function Actions({ found }) {
  const { payment, facts } = found;
  const paid = facts.settled !== null;
  const revoked = facts.decision?.decision === "revoke";
  const odd = payment.attention.some(({ name }) => name === "amount");
  return html`<span class="actions">
    ${paid && payment.left > 0 && html`<button type="button" data-key="r" onClick=${() => open("refund")}>Refund…</button>`}
    ${paid && (odd || revoked) && html`<button type="button" class="quiet" onClick=${() => open("accept")}>${revoked ? "Give access again…" : "Accept the amount…"}</button>`}
    ${paid && !revoked && html`<button type="button" class="quiet" onClick=${() => open("revoke")}>Revoke access…</button>`}
  </span>`;
}

/** The dialog that the address asks for, where it still makes sense. */
function Asked({ query, found, done }) {
  const { payment } = found;
  const request = payment.refund_requests.find(({ id, state }) => id === query.on && state === "waiting");
  const cause = payment.attention.find(({ name }) => name === query.on);
  const shared = { found, done };
  if (query.do === "refund") return html`<${Refund} ...${shared} />`;
  if (query.do === "accept" || query.do === "revoke") return html`<${Standing} ...${shared} verdict=${query.do} />`;
  if (query.do === "approve" || query.do === "decline")
    return request && html`<${Answering} ...${shared} request=${request} decision=${query.do} />`;
  if (query.do === "resolve") return cause && html`<${Acknowledge} ...${shared} cause=${cause} />`;
  return null;
}

function Causes({ payment, staff }) {
  return payment.attention.map(
    ({ name, detail }) => html`<div key=${name} class="note warn cause">
    <div><p><strong>Needs a person:</strong> ${plain(detail)}.</p><p class="small">${ways(name)}</p></div>
    ${staff.decides && html`<button type="button" class="quiet" onClick=${() => open("resolve", { on: name })}>Dealt with…</button>`}
  </div>`,
  );
}

function Requests({ payment, staff }) {
  if (!payment.refund_requests.length) return null;
  return html`<section class="panel" aria-labelledby="requests"><h2 id="requests">Refund requests</h2>
    <div class="scroll"><table><thead><tr><th>Asked</th><th>By</th><th class="right">Amount</th><th>State</th><th>Reason</th><th>Note and answer</th><th><span class="visually-hidden">Decide</span></th></tr></thead>
    <tbody>${payment.refund_requests.map(
      (request) => html`<tr key=${request.id}>
      <td><${Time} at=${request.at} /></td>
      <td>${request.by === payment.user_id ? "the student" : html`<${UserLink} id=${request.by} />`}</td>
      <td class="right"><span class="sum">${sum(request.amount, payment.currency)}</span></td>
      <td><span class=${`chip ${STATES[request.state] ?? ""}`}>${request.state}</span></td>
      <td class="long">${request.reason}</td>
      <td class="long">${[request.note, request.answer, request.decided_by && `decided by ${request.decided_by}`].filter(Boolean).join("; ")}</td>
      <td class="actions">${
        staff.decides &&
        request.state === "waiting" &&
        html`
        <button type="button" onClick=${() => open("approve", { on: request.id })}>Approve…</button>
        <button type="button" class="quiet" onClick=${() => open("decline", { on: request.id })}>Decline…</button>`
      }</td>
    </tr>`,
    )}</tbody></table></div></section>`;
}

const STATES = {
  done: "good",
  waiting: "warn",
  calling: "busy",
  pending: "busy",
  refused: "bad",
  failed: "bad",
  declined: "",
};
