// One user: their identity, enrollments and payments.
import { get, post, useDraft, useResponse } from "./api.js";
import { Empty, EnrollmentStatus, Id, WhenLoaded, None, Pager, StripeLink, Time } from "./components.js";
import { ConfirmDialog, TextField } from "./dialog.js";
import { DataPanel, EraseDialog, hasBegun, HoldDialog } from "./erasure.js";
import { Notes } from "./notes.js";
import { PaymentTable } from "./payment_table.js";
import { AddressDialog, ExportDialog } from "./personal_data_dialogs.js";
import { PlanTable } from "./plans.js";
import { html, useState } from "./preact.js";
import { Result } from "./result.js";
import { lastList, lastPayment, openDialog, routeTo } from "./route.js";
import { UserTimeline } from "./user_timeline.js";

export function User({ id, query, staff }) {
  const [result, setResult] = useState(undefined);
  const load = () => get("/admin/users", { user_id: id, limit: 50, cursor: query.cursor });
  const state = useResponse(load, [id, query.cursor]);
  const done = (text) => {
    if (text) setResult({ text });
    state.reload();
  };
  if (state.error?.status === 404)
    return html`<h1 tabindex="-1">User not found</h1><${Empty} title=${`There is no user ${id}`}><a href=${routeTo(["payments"])}>Go to Payments</a><//>`;
  const payment = lastPayment();
  return html`<p class="crumbs"><a data-up href=${payment ?? lastList()}>← Back to the ${payment ? "payment" : "list"}</a> <a href=${routeTo(["payments"], { q: id })}>Payments of this user</a></p>
    <h1 tabindex="-1">${state.response?.user.email ?? id}</h1>
    <${Result} result=${result} takesFocus=${true} />
    <${WhenLoaded} of=${state}>${(details) => html`<${Details} details=${details} id=${id} query=${query} staff=${staff} done=${done} />`}<//>`;
}

const WORDING = {
  allow: {
    title: "Allow purchases",
    consequence: "The user may buy again. A dispute that is lost later blocks them again.",
    result: "Allowed. The user may buy again.",
  },
  block: {
    title: "Block purchases",
    consequence: "The user may buy no track until staff allow it. Access and payments don’t change.",
    result: "Blocked. The user may buy no track until staff allow it.",
  },
};
const UNDONE = "We checked: the decision was not recorded. It’s safe to try again.";
const RECORDED = "We checked: the decision is recorded.";

/** Allow or block a user's purchases. */
function PurchasesDialog({ id, decision, ready, done }) {
  const [note, setNote, discard] = useDraft(`purchases.${decision}.${id}`);
  const { title, consequence, result } = WORDING[decision];
  const submit = async () => {
    await post(`/admin/users/purchases?user_id=${encodeURIComponent(id)}`, { decision, note: note.trim() });
    discard();
    return result;
  };
  const check = async () => {
    const { user } = await get("/admin/users", { user_id: id });
    if (user.purchases.blocked !== (decision === "block")) return { text: UNDONE };
    discard();
    return { text: RECORDED, final: true };
  };
  return html`<${ConfirmDialog} title=${title} consequence=${consequence} confirmText=${title} danger=${decision === "block"} ready=${ready && note.trim() !== ""} submit=${submit} check=${check} done=${done}>
    <${TextField} id="note" label="Reason" required=${true} text=${note} write=${setNote} hint="Internal note; only staff can see this." />
  <//>`;
}

const DECIDED = { allow: "Allowed", block: "Blocked" };

/** The name of a block of purchases: a decision of staff (`staff:3`), declines (`declines:…`), or a lost dispute. */
function blockName(id) {
  if (id.startsWith("staff:")) return "A decision of staff";
  return id.startsWith("declines:") ? "Declined payments" : html`Lost dispute <${Id} id=${id} />`;
}

/** Whether the user may buy, what blocks them, and how many disputes and refunds they have had. */
function Purchases({ user, staff }) {
  const { purchases, history, refunded_payments: refunded } = user;
  const { blocked, blocking, decision } = purchases;
  const next = blocked ? "allow" : "block";
  return html`<section class="panel"><h2>Purchases</h2><dl>
    <div><dt>May buy</dt><dd>${user.erasure ? "No, because the data are erased, or will be" : blocked ? "No, until staff allow it" : "Yes"}</dd></div>
    ${blocked && html`<div><dt>Blocked by</dt><dd>${blocking.map((one) => html`<span key=${one}>${blockName(one)} </span>`)}</dd></div>`}
    ${decision && html`<div><dt>Last decision</dt><dd>${DECIDED[decision.decision]} <${Time} at=${decision.at} /> ${decision.note}</dd></div>`}
    <div><dt>Disputes</dt><dd>${history.disputes}, ${history.disputes_lost} lost</dd></div>
    <div><dt>Refunds</dt><dd>${history.refunds}</dd></div>
    ${Object.entries(refunded).map(([track, count]) => html`<div key=${track}><dt>Refunded payments for ${track}</dt><dd>${count}</dd></div>`)}
  </dl>
  ${staff.decides && !user.erasure && html`<p><button type="button" class="quiet" onClick=${() => openDialog(next)}>${WORDING[next].title}…</button></p>`}</section>`;
}

/** Why emails do not reach the user. */
const DELIVERY = { bounced: "Address does not exist", complained: "Reported as spam" };

function Details({ details, id, query, staff, done }) {
  const { user, enrollments, payments, plans, audit, chain, standings, next_cursor: next } = details;
  const { customer } = user;
  return html`
    <div class="groups wide">
      <section class="panel"><h2>User</h2><dl>
        <div><dt>User ID</dt><dd><${Id} id=${user.user_id} /></dd></div>
        <div><dt>Email</dt><dd>${user.email ?? html`<${None} />`}</dd></div>
        ${user.email_delivery && html`<div><dt>Emails</dt><dd><span class="chip bad">${DELIVERY[user.email_delivery.problem]}</span> <${Time} at=${user.email_delivery.at} /></dd></div>`}
        <div><dt>Customer</dt><dd>${customer ? html`<${Id} id=${customer.stripe_customer_id} /> <${StripeLink} href=${customer.stripe_url}>Stripe<//>` : html`<${None} />`}</dd></div>
        ${customer && html`<div><dt>Customer since</dt><dd><${Time} at=${customer.created_at} /></dd></div>`}
      </dl>
      ${staff.decides && html`<p><button type="button" class="quiet" onClick=${() => openDialog("export")}>Download all data…</button>
        ${!hasBegun(user) && html`<button type="button" class="quiet" onClick=${() => openDialog("address")}>Correct email address…</button>`}</p>`}</section>
      <${DataPanel} user=${user} payments=${payments} complete=${!query.cursor && !next} staff=${staff} />
      <${Purchases} user=${user} staff=${staff} />
      ${!standings.verified && html`<${Standings} problems=${standings.problems} />`}
      ${enrollments.map((enrollment) => html`<${Enrollment} key=${enrollment.track} enrollment=${enrollment} />`)}
      ${!enrollments.length && html`<section class="panel"><h2>Enrollments</h2><p class="small">None.</p></section>`}
    </div>
    <${Notes} topic=${{ user_id: id }} notes=${details.notes} staff=${staff} done=${done} />
    ${plans.length > 0 && html`<h2>Payment plans</h2><${PlanTable} plans=${plans} showStudent=${false} />`}
    <h2>Payments</h2>
    ${payments.length ? html`<${PaymentTable} payments=${payments} showStudent=${false} />` : html`<${Empty} title="No payments" />`}
    <${Pager} path=${["users", id]} query=${query} next=${next} count=${payments.length} />
    <${UserTimeline} id=${id} version=${payments.map(({ version }) => version).join()} audit=${audit} chain=${chain} />
    ${staff.decides && query.do === "export" && html`<${ExportDialog} id=${id} done=${done} />`}
    ${staff.decides && query.do === "address" && html`<${AddressDialog} id=${id} current=${user.email} done=${done} />`}
    ${staff.decides && query.do === "erase" && html`<${EraseDialog} user=${user} enrollments=${enrollments} done=${done} />`}
    ${staff.decides && query.do === "hold" && html`<${HoldDialog} user=${user} decision="set" done=${done} />`}
    ${staff.decides && query.do === "lift" && html`<${HoldDialog} user=${user} decision="lift" done=${done} />`}
    ${staff.decides && Object.hasOwn(WORDING, query.do ?? "") && html`<${PurchasesDialog} key=${query.do} id=${id} decision=${query.do} ready=${user.purchases.blocked === (query.do === "allow")} done=${done} />`}`;
}

/** Access of the user to a track that comes from no payment. */
function Standings({ problems }) {
  return html`<section class="panel"><h2>Access without a payment</h2>
    <p><span class="chip bad" role="alert">${problems.length} found</span></p>
    <ul class="plain">${problems.map(({ track, payment_id: id, problem }) => html`<li key=${`${track} ${id} ${problem}`}>${track} ${id && html`<${Id} id=${id} /> `}${problem}</li>`)}</ul>
  </section>`;
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
