// The schedule of a payment plan: its rules, and a row for each installment with what staff can do about it.
import { moneyWithCode } from "../shared/format.js";
import { None } from "./components.js";
import { html } from "./preact.js";
import { openDialog, routeTo } from "./route.js";
import { installmentState } from "./status.js";

export function Schedule({ details, staff }) {
  const { plan, actions } = details;
  return html`<section class="panel" aria-labelledby="schedule"><h2 id="schedule">Schedule</h2>
    <p class="small">${rulesOf(plan)}</p>
    <div class="scroll" tabindex="0" role="region" aria-labelledby="schedule"><table><caption class="visually-hidden">Installments</caption>
    <thead><tr><th scope="col">No.</th><th scope="col">Due</th><th scope="col">Announced for</th><th scope="col" class="right">Amount</th><th scope="col">State</th><th scope="col">Payment</th><th scope="col"><span class="visually-hidden">Actions</span></th></tr></thead>
    <tbody>${plan.schedule.map((one) => html`<${Installment} key=${one.seq} one=${one} plan=${plan} actions=${staff.decides ? actions.filter(({ seq }) => seq === one.seq) : []} />`)}</tbody></table></div></section>`;
}

const days = (count) => (count === 1 ? "1 day" : `${count} days`);

/** The rules to which the student agreed, in words. Plans that begin later may have others. */
function rulesOf({ rules, total }) {
  const last = rules.retry_days.length - 1;
  const retries = new Intl.ListFormat("en").format(rules.retry_days.slice(1).map((day, at) => (at + 1 === last ? days(day) : String(day))));
  const again = last ? `, and tried again ${retries} later` : ", and not tried again";
  const end = total === null ? `the membership ends after ${days(rules.grace_days)}` : `access ends after ${days(rules.grace_days)}, and the plan is closed after ${days(rules.give_up_days)}`;
  return `A charge is announced ${days(rules.notice_days)} before its day${again}. If it stays unpaid, ${end}.`;
}

/** Whether the plan has ended for good: it is not paid any more, so its unpaid installments are not upcoming. */
export const hasEnded = ({ status, close_reason: reason }) => ["REFUNDED", "ABANDONED"].includes(status) || (status === "CLOSED" && reason !== "gave_up");

function Installment({ one, plan, actions }) {
  const [state, color] = one.state === "upcoming" && hasEnded(plan) ? ["Not charged", ""] : installmentState(one.state);
  return html`<tr>
    <th scope="row">${one.seq}</th>
    <td>${one.due ?? html`<${None} />`}</td>
    <td>${one.collect ?? html`<${None} />`}</td>
    <td class="right"><span class="sum">${moneyWithCode(one.amount, plan.currency)}</span></td>
    <td><span class=${`chip ${color}`} title=${one.state}>${state}</span>${one.failure && html`<span class="why">${one.failure.code.replace(/_/g, " ")}</span>`}</td>
    <td>${one.payment_id ? html`<a href=${routeTo(["payments", one.payment_id])}>View<span class="visually-hidden"> the payment of installment ${one.seq}</span></a>` : html`<${None} />`}</td>
    <td class="actions">${actions.map((action) => html`<button key=${action.decision} type="button" class="quiet" onClick=${() => openDialog(action.decision, { on: one.seq })}>${action.decision === "waive" ? "Waive" : "Move"}…<span class="visually-hidden"> installment ${one.seq}</span></button>`)}</td>
  </tr>`;
}
