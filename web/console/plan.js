// One payment plan: its schedule, its payments, what happens next and when, its timeline, and the decisions of staff.
import { moneyWithCode } from "../shared/format.js";
import { get, paymentChanged, useResponse } from "./api.js";
import { suggestedActionOfPlan } from "./attention_reasons.js";
import { Empty, productOf, Time, UserLink, WhenLoaded } from "./components.js";
import { PaymentTable } from "./payment_table.js";
import { CollectDialog, DecisionDialog, decisionName, ResolvePlanDialog } from "./plan_dialogs.js";
import { hasEnded, Schedule } from "./plan_schedule.js";
import { planName, PlanStatus } from "./plans.js";
import { html, useRef, useState } from "./preact.js";
import { decidedWords } from "./record_words.js";
import { Result } from "./result.js";
import { lastList, openDialog, routeTo } from "./route.js";
import { EntryList } from "./timeline.js";
import { inOrder, planRecordEntry } from "./timeline_entries.js";

export function Plan({ id, query, staff }) {
  const state = useResponse(() => get(`/admin/plans/${encodeURIComponent(id)}`), [id]);
  const [result, setResult] = useState(undefined);
  const done = (text) => {
    setResult(text ? { text } : undefined);
    paymentChanged();
    state.reload();
  };
  if (state.error?.status === 404)
    return html`<h1 tabindex="-1">Plan not found</h1><${Empty} title=${`There is no plan ${id}`}><a href=${routeTo(["plans"])}>Go to Payment plans</a><//>`;
  return html`<p class="crumbs"><a data-up href=${lastList()}>← Back to the list</a> <kbd>Esc</kbd></p>
    ${!state.response && html`<h1 tabindex="-1">Payment plan</h1>`}
    <${WhenLoaded} of=${state}>${(details) => html`<${Details} details=${details} query=${query} staff=${staff} result=${result} done=${done} />`}<//>`;
}

function Details({ details, query, staff, result, done }) {
  const { plan, payments } = details;
  const total = plan.total === null ? `${moneyWithCode(plan.schedule[0].amount, plan.currency)} every ${plan.every}` : moneyWithCode(plan.total, plan.currency);
  return html`
    <div class="headline">
      <h1 tabindex="-1" data-title=${`${plan.email ?? plan.user_id}, ${planName(plan)}`}>${total} for ${productOf(plan)}</h1>
      <${PlanStatus} plan=${plan} />
      <span class="grow"></span>
      ${staff.decides && html`<${Actions} details=${details} />`}
    </div>
    <p class="summary">
      <span><${UserLink} id=${plan.user_id}>${plan.email ?? plan.user_id}<//></span>
      <span>offer ${plan.offer}</span>
      <span>created <${Time} at=${plan.created_at} /></span>
      <span>${moneyWithCode(plan.received, plan.currency)} received</span>
      ${plan.refunded > 0 && html`<span>${moneyWithCode(plan.refunded, plan.currency)} refunded</span>`}
      ${plan.lost > 0 && html`<span>${moneyWithCode(plan.lost, plan.currency)} lost to disputes</span>`}
      <span>${moneyWithCode(plan.outstanding, plan.currency)} outstanding</span>
      <span>${plan.grants_access ? "Access granted" : "No access"}</span>
      ${plan.cancel_at && html`<span>ends on ${plan.cancel_at}</span>`}
    </p>
    <p>${details.sentence}</p>
    <${Result} result=${result} takesFocus=${true} />
    ${plan.attention.map((reason) => html`<${Attention} key=${reason.name} reason=${reason} staff=${staff} />`)}
    <${Schedule} details=${details} staff=${staff} />
    <${Ahead} details=${details} />
    <h2>Payments</h2>
    ${payments.length ? html`<${PaymentTable} payments=${payments} showStudent=${false} />` : html`<${Empty} title="No payments" />`}
    ${details.more_payments && html`<p class="small">Older payments of this plan are in <a href=${routeTo(["payments"], { q: plan.user_id })}>the student’s payments</a>.</p>`}
    <${Decisions} decisions=${details.facts.decisions} student=${plan.user_id} />
    <${PlanTimeline} details=${details} />
    ${staff.decides && html`<${OpenDialog} key=${`${query.do} ${query.on}`} query=${query} details=${details} done=${done} />`}`;
}

/** The decisions about the whole plan. Those about an installment are in its row. */
function Actions({ details }) {
  const names = [...new Set(details.actions.filter(({ seq }) => seq === null).map(({ decision }) => decision))];
  return html`<span class="actions">
    ${details.collect_refusal === null && html`<button type="button" onClick=${() => openDialog("collect")}>Charge now…</button>`}
    ${names.map((decision) => html`<button key=${decision} type="button" class="quiet" onClick=${() => openDialog(decision)}>${decisionName({ decision })}…</button>`)}
  </span>`;
}

function Attention({ reason, staff }) {
  return html`<div class="note warn attention"><div><p><strong>Needs attention:</strong> ${reason.detail}.</p><p class="small">${suggestedActionOfPlan(reason)}</p></div>
    ${staff.decides && html`<button type="button" class="quiet" onClick=${() => openDialog("resolve", { on: reason.name })}>Mark as resolved…</button>`}</div>`;
}

const BOUNDARIES = {
  due: (seq) => `installment ${seq} is due, and its grace period starts`,
  grace_over: (seq) => `access ends if installment ${seq} is not paid`,
  give_up: (seq) => `the plan is closed if installment ${seq} is not paid`,
  period_end: () => "the membership ends",
};
const REFUSALS = {
  not_charged: "This plan is not charged automatically now.",
  processing: "A bank is processing a payment.",
  unanswered: "The result of a charge is being read.",
  not_announced: "The next charge cannot be made yet: the student gets notice first.",
  no_method: "The student has no payment method that can be charged.",
  do_not_try_again: "The student’s bank refuses all further charges to this payment method.",
  authentication_required: "The student’s bank asks the student to confirm. Only the student can pay.",
  tries_used: "This bank account was debited three times without success. Only the student can pay.",
  stopped: "Staff have stopped the charges of all plans.",
  tried_today: "Staff have charged this plan today. They can charge it again tomorrow.",
};

/** The reasons why nothing is charged without the student, by `stopped_by` in the API. */
const STOPPED = {
  revoked_access: "Nothing is announced or charged while access is revoked.",
  pause: "Nothing is announced or charged until staff resume the plan.",
  dispute: "Nothing is announced or charged until the bank decides the dispute.",
  refund: "Nothing is announced or charged until staff continue or close the plan after the refund.",
  amount_differs: "Nothing is announced or charged until staff decide about a payment of another amount.",
  refund_request: "Nothing is announced or charged until staff decide about the refund request.",
};

/** The next events of the plan, unless a payment or a decision comes first. */
function Ahead({ details }) {
  const { plan, boundaries, actions, collect_refusal: refusal } = details;
  const { refund_request_payment_id: requested } = plan;
  const attempt = plan.next?.attempt_at;
  const toRefund = plan.status === "REFUNDED" ? plan.received - plan.refunded - plan.lost : 0;
  const isUndecided = actions.some(({ decision }) => decision === "continue"); // money was refunded
  const isQuiet = !refusal || (hasEnded(plan) && !isUndecided) || plan.status === "COMPLETE" || (attempt && refusal === "not_announced");
  const reason = isQuiet ? undefined : (STOPPED[plan.stopped_by] ?? REFUSALS[refusal]);
  if (!boundaries.length && !attempt && !toRefund && !reason) return null;
  return html`<section class="panel"><h2>What happens next</h2><ul class="plain">
    ${attempt && html`<li>From <${Time} at=${attempt} />: installment ${plan.next.seqs.join(", ")} is charged</li>`}
    ${boundaries.map(({ day, name, seq }) => html`<li key=${name}>${day}: ${BOUNDARIES[name](seq)}</li>`)}
    ${toRefund > 0 && html`<li>${moneyWithCode(toRefund, plan.currency)} is refunded within a quarter of an hour, unless a refund needs attention</li>`}
    ${reason && html`<li>${reason}${requested && html` <a href=${routeTo(["payments", requested])}>See the request</a>`}</li>`}
  </ul></section>`;
}

const REFUNDS = { all: " and refunded everything", none: " without a refund" };

const installmentsOf = (seqs) => (seqs.length ? ` installment${seqs.length > 1 ? "s" : ""} ${seqs.join(", ")}` : "");

function Decisions({ decisions, student }) {
  if (!decisions.length) return null;
  return html`<section class="panel"><h2>Decisions</h2><ul class="plain">${decisions.map(
    (one) => html`<li key=${one.id}><${Time} at=${one.at} /> <strong>${decidedWords[one.decision]}${installmentsOf(one.seqs)}</strong>${one.to && ` to ${one.to}`}${REFUNDS[one.refund]} by ${one.actor === student ? "the student" : html`<${UserLink} id=${one.actor} />`}${one.note && `: ${one.note}`}</li>`,
  )}</ul></section>`;
}

/** The records of the plan and of its payments in one order. */
function PlanTimeline({ details }) {
  const { plan, payments, audit, chains } = details;
  const byId = Object.fromEntries(payments.map((payment) => [payment.payment_id, payment]));
  const entries = audit.map((record) => ({
    ...planRecordEntry(record, plan.user_id),
    payment: byId[record.subject] && { ...byId[record.subject], track: null, membership: null },
  }));
  const broken = chains.find(({ verified }) => !verified);
  const status = broken
    ? html`<span class="chip bad" role="alert">Audit trail broken: ${broken.subject}, ${broken.problem}</span>`
    : html`<span class="chip good">${chains.length === 1 ? "Audit trail" : `${chains.length} audit trails`} verified (${audit.length} records)</span>`;
  return html`<${EntryList} entries=${inOrder(entries)} status=${status} />`;
}

/** The dialog named in the address, if the plan's state allows it. It stays open if another member of staff acts first. */
function OpenDialog({ query, details, done }) {
  const { plan, actions, collect_refusal: refusal } = details;
  const allowed = () => {
    if (query.do === "collect") return refusal === null;
    if (query.do === "resolve") return plan.attention.find(({ name }) => name === query.on);
    const chosen = actions.filter(({ decision, seq }) => decision === query.do && String(seq ?? "") === (query.on ?? ""));
    return chosen.length > 0 && chosen;
  };
  const opened = useRef(undefined);
  opened.current ??= allowed();
  if (!opened.current) return null;
  if (query.do === "collect") return html`<${CollectDialog} details=${details} done=${done} />`;
  if (query.do === "resolve") return html`<${ResolvePlanDialog} details=${details} reason=${opened.current} done=${done} />`;
  return html`<${DecisionDialog} details=${details} actions=${opened.current} done=${done} />`;
}
