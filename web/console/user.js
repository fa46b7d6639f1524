// One user: their identity, enrollments and payments.
import { get, useResponse } from "./api.js";
import { Empty, EnrollmentStatus, Id, WhenLoaded, None, Pager, StripeLink, Time } from "./components.js";
import { PaymentTable } from "./payment_table.js";
import { html } from "./preact.js";
import { routeTo } from "./route.js";
import { AuditStatus } from "./timeline.js";

export function User({ id, query }) {
  const load = () => get(`/admin/users/${encodeURIComponent(id)}/`, { limit: 50, cursor: query.cursor });
  const state = useResponse(load, [id, query.cursor]);
  if (state.error?.status === 404)
    return html`<h1 tabindex="-1">User not found</h1><${Empty} title=${`There is no user ${id}`}><a href=${routeTo(["payments"])}>Go to Payments</a><//>`;
  return html`<p class="crumbs"><a data-up href=${routeTo(["payments"], { q: id })}>← Payments of this user</a></p>
    <h1 tabindex="-1">${state.response?.user.email ?? id}</h1>
    <${WhenLoaded} of=${state}>${(details) => html`<${Details} details=${details} id=${id} query=${query} />`}<//>`;
}

function Details({ details, id, query }) {
  const { user, enrollments, payments, audit, chain, next_cursor: next } = details;
  const { customer } = user;
  return html`
    <div class="groups wide">
      <section class="panel"><h2>User</h2><dl>
        <div><dt>User ID</dt><dd><${Id} id=${user.user_id} /></dd></div>
        <div><dt>Email</dt><dd>${user.email ?? html`<${None} />`}</dd></div>
        <div><dt>Customer</dt><dd>${customer ? html`<${Id} id=${customer.stripe_customer_id} /> <${StripeLink} href=${customer.stripe_url}>Stripe<//>` : html`<${None} />`}</dd></div>
        ${customer && html`<div><dt>Customer since</dt><dd><${Time} at=${customer.created_at} /></dd></div>`}
      </dl></section>
      ${enrollments.map((enrollment) => html`<${Enrollment} key=${enrollment.track} enrollment=${enrollment} />`)}
      ${!enrollments.length && html`<section class="panel"><h2>Enrollments</h2><p class="small">None.</p></section>`}
      ${
        audit.length > 0 &&
        html`<section class="panel"><h2>Actions of this user</h2><p><${AuditStatus} chain=${chain} count=${audit.length} /></p>
        <ul class="plain">${audit.map((record) => html`<li key=${record.seq}><${Time} at=${record.at} /> <code>${record.type}</code></li>`)}</ul></section>`
      }
    </div>
    <h2>Payments</h2>
    ${payments.length ? html`<${PaymentTable} payments=${payments} showStudent=${false} />` : html`<${Empty} title="No payments" />`}
    <${Pager} path=${["users", id]} query=${query} next=${next} count=${payments.length} />`;
}

function Enrollment({ enrollment }) {
  const { track, status, projects } = enrollment;
  const steps = projects.flatMap((project) => project.steps);
  const done = steps.filter((step) => step.done).length;
  return html`<section class="panel"><h2>${track} <${EnrollmentStatus} status=${status} /></h2>
    <p class="small">${done} of ${steps.length} steps done</p>
    <ul class="plain">${projects.map((project) => html`<li key=${project.project}>${project.title} <span class="faint">${project.unlocked ? "unlocked" : "locked"}</span></li>`)}</ul>
  </section>`;
}
