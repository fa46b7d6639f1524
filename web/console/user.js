// One user: who they are, what they are enrolled in, every payment of theirs.
import { read, useAnswer } from "./api.js";
import { html } from "./html.js";
import { Answer, Empty, Id, Outside, Pager, Time } from "./parts.js";
import { Table } from "./payments.js";
import { to } from "./place.js";
import { Chain } from "./timeline.js";

export function User({ id, query }) {
  const found = useAnswer(
    () => read(`/admin/users/${encodeURIComponent(id)}/`, { limit: 50, cursor: query.cursor }),
    [id, query.cursor],
  );
  if (found.error?.status === 404)
    return html`<h1 tabindex="-1">No such user</h1><${Empty} title=${`Nothing is known of ${id}`}><a href=${to(["payments"])}>See the payments</a><//>`;
  return html`<p class="crumbs"><a data-up href=${to(["payments"], { q: id })}>← Payments of this user</a></p>
    <h1 tabindex="-1">${found.answer?.user.email ?? id}</h1>
    <${Answer} of=${found}>${(answer) => html`<${Page} found=${answer} id=${id} query=${query} />`}<//>`;
}

function Page({ found, id, query }) {
  const { user, enrollments, payments, audit, chain, next_cursor: more } = found;
  return html`
    <div class="groups wide">
      <section class="panel"><h2>User</h2><dl>
        <div><dt>User id</dt><dd><${Id} id=${user.user_id} /></dd></div>
        <div><dt>E-mail</dt><dd>${user.email ?? html`<span class="none">–</span>`}</dd></div>
        <div><dt>Customer</dt><dd>${user.customer ? html`<${Id} id=${user.customer.stripe_customer_id} /> <${Outside} href=${user.customer.stripe_url}>Stripe<//>` : html`<span class="none">–</span>`}</dd></div>
        ${user.customer && html`<div><dt>Customer since</dt><dd><${Time} at=${user.customer.created_at} /></dd></div>`}
      </dl></section>
      ${enrollments.map((enrollment) => html`<${Enrolled} key=${enrollment.track} enrollment=${enrollment} />`)}
      ${!enrollments.length && html`<section class="panel"><h2>Enrollments</h2><p class="small">None.</p></section>`}
      ${
        audit.length > 0 &&
        html`<section class="panel"><h2>Own records</h2><p><${Chain} chain=${chain} count=${audit.length} /></p>
        <ul class="plain">${audit.map((record) => html`<li key=${record.seq}><${Time} at=${record.at} /> <code>${record.type}</code></li>`)}</ul></section>`
      }
    </div>
    <h2>Payments</h2>
    ${payments.length ? html`<${Table} payments=${payments} user=${false} />` : html`<${Empty} title="No payment" />`}
    <${Pager} path=${["users", id]} query=${query} next=${more} count=${payments.length} />`;
}

function Enrolled({ enrollment }) {
  const { track, status, projects } = enrollment;
  const steps = projects.flatMap((project) => project.steps);
  const done = steps.filter((step) => step.done).length;
  return html`<section class="panel"><h2>${track} <span class=${`chip ${status === "ENROLLED" ? "good" : ""}`}>${status}</span></h2>
    <p class="small">${done} of ${steps.length} steps done</p>
    <ul class="plain">${projects.map((project) => html`<li key=${project.project}>${project.title} <span class="faint">${project.unlocked ? "unlocked" : "locked"}</span></li>`)}</ul>
  </section>`;
}
