// One payment: what it is, what needs a person, everything that happened, and what staff may do about it.
import { read, useAnswer } from "./api.js";
import { plain, ways } from "./attention.js";
import { Acknowledge, Answering, Refund, Standing } from "./decide.js";
import { Fields } from "./fields.js";
import { sum } from "./format.js";
import { html, useRef, useState } from "./html.js";
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
    ${staff.decides && html`<${Asked} key=${`${query.do} ${query.on}`} query=${query} found=${found} done=${done} />`}`;
}

/** What may be done with a payment now. */
function possible({ payment, facts }) {
  const paid = facts.settled !== null;
  const revoked = facts.decision?.decision === "revoke";
  const odd = payment.attention.some(({ name }) => name === "amount");
  return { revoked, refund: paid && payment.left > 0, accept: paid && (odd || revoked), revoke: paid && !revoked };
}

/** Each opens a dialog that says what will happen. */
function Actions({ found }) {
  const { refund, accept, revoke, revoked } = possible(found);
  return html`<span class="actions">
    ${refund && html`<button type="button" data-key="r" onClick=${() => open("refund")}>Refund…</button>`}
    ${accept && html`<button type="button" class="quiet" onClick=${() => open("accept")}>${revoked ? "Give access again…" : "Accept the amount…"}</button>`}
    ${revoke && html`<button type="button" class="quiet" onClick=${() => open("revoke")}>Revoke access…</button>`}
  </span>`;
}

/** The dialog that the address asks for, where it makes sense. It stays when somebody else is first, to say so. */
function Asked({ query, found, done }) {
  const { payment } = found;
  const { refund, accept, revoke } = possible(found);
  const request = payment.refund_requests.find(({ id }) => id === query.on);
  const waits = request?.state === "waiting";
  const marked = payment.attention.find(({ name }) => name === query.on);
  const sensible = { refund, accept, revoke, approve: waits, decline: waits, resolve: marked };
  const opened = useRef(Object.hasOwn(sensible, query.do ?? "") && sensible[query.do]);
  if (!opened.current) return null;
  const shared = { found, done };
  if (query.do === "refund") return html`<${Refund} ...${shared} />`;
  if (query.do === "resolve") return html`<${Acknowledge} ...${shared} cause=${marked ?? opened.current} there=${Boolean(marked)} />`;
  if (request) return html`<${Answering} ...${shared} request=${request} decision=${query.do} />`;
  return html`<${Standing} ...${shared} verdict=${query.do} may=${sensible[query.do]} />`;
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
