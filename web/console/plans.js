// The list of payment plans, by the day on which the next installment is due.
import { moneyWithCode } from "../shared/format.js";
import { get, paymentChanged, useResponse } from "./api.js";
import { AttentionChips, Empty, None, Pager, productOf, UserLink, WhenLoaded } from "./components.js";
import { BATCH_DECISIONS, PlanBatch } from "./plan_batch.js";
import { activeFilters, PLAN_FILTERS } from "./filters.js";
import { html, useRef, useState } from "./preact.js";
import { Choose, ChooseAll, QueueBar, useQueue } from "./queue.js";
import { Result } from "./result.js";
import { changeQuery, openDialog, routeTo } from "./route.js";
import { planStatus, planStatuses } from "./status.js";
import { Totals } from "./totals.js";

const FILTERS = [...PLAN_FILTERS, "q"];
const KINDS = [
  ["installments", "Installments"],
  ["membership", "Membership"],
];
const ATTENTION = [
  ["true", "Needs attention"],
  ["false", "No attention"],
];

export function Plans({ query, staff }) {
  const filters = Object.fromEntries(FILTERS.map((name) => [name, query[name]]));
  const load = () => get("/admin/plans", { ...filters, limit: 50, cursor: query.cursor });
  const state = useResponse(load, [filters, query.cursor]);
  const rows = (state.response?.plans ?? []).map((plan) => ({ key: plan.plan_id, canChoose: staff.decides, plan }));
  const queue = useQueue(rows, state, paymentChanged);
  const isFiltered = FILTERS.some((name) => query[name]);
  const empty = ({ plans, next_cursor: next }) =>
    !plans.length &&
    !next &&
    html`<${Empty} title=${isFiltered ? "No plan matches" : "No payment plans"}>${isFiltered && html`<a href=${routeTo(["plans"])}>Clear all filters</a>`}<//>`;
  const isNewestFirst = Boolean(query.q || query.attention === "true");
  return html`<h1 tabindex="-1">Payment plans</h1>
    <${Result} result=${queue.result} />
    <${Filters} query=${query} isFiltered=${isFiltered} staff=${staff} />
    <div class="results"><${Totals} list="plans" filters=${filters} /></div>
    <${WhenLoaded} of=${state} empty=${empty}>
      ${({ plans, next_cursor: next }) => html`${staff.decides && html`<${DecideBar} queue=${queue} />`}
      <${PlanTable} plans=${plans} queue=${staff.decides ? queue : undefined} />
      <${Pager} path=${["plans"]} query=${query} next=${next} count=${plans.length} names=${isNewestFirst ? undefined : ["First", "Next"]} />`}
    <//>
    ${staff.decides && query.do === "decide-selected" && html`<${BatchDecision} key=${query.on} query=${query} rows=${rows} queue=${queue} />`}`;
}

/** The choice of a decision about the chosen plans. */
function DecideBar({ queue }) {
  const [choice, setChoice] = useState(BATCH_DECISIONS[0][0]);
  return html`<${QueueBar} queue=${queue}>
    <label for="plans-decision" class="visually-hidden">Decision about the selected plans</label>
    <select id="plans-decision" value=${choice} onChange=${({ target }) => setChoice(target.value)}>${BATCH_DECISIONS.map(([key, name]) => html`<option key=${key} value=${key} selected=${choice === key}>${name}</option>`)}</select>
    <button type="button" class="quiet" onClick=${() => queue.withChosen(() => openDialog("decide-selected", { on: choice }))}>Decide about selected…</button><//>`;
}

/** The dialog for the plans that were chosen when it opened. After a reload of the page none is chosen, and it stays closed. */
function BatchDecision({ query, rows, queue }) {
  const chosen = useRef(rows.filter(({ key }) => queue.chosen.includes(key)).map(({ plan }) => plan)).current;
  if (!chosen.length || !BATCH_DECISIONS.some(([key]) => key === query.on)) return null;
  const finish = (keys, text) => queue.done(keys, text, keys.length === chosen.length ? "good" : "warn");
  return html`<${PlanBatch} plans=${chosen} choice=${query.on} nameOf=${nameOf} done=${finish} />`;
}

function Filters({ query, isFiltered, staff }) {
  const { tracks = [], memberships = [], no_longer_sold: former = [] } = useResponse(() => get("/payments/tracks"), []).response ?? {};
  const products = [...tracks, ...memberships, ...former].map((product) => [productOf(product), productOf(product)]);
  const set = (changes) => changeQuery({ ...changes, cursor: "" });
  const choose = (name) => ({ target }) => set({ [name]: target.value });
  const select = (name, label, options) => html`<div class=${`field ${query[name] ? "on" : ""}`}><label for=${`plans-${name}`}>${label}</label>
    <select id=${`plans-${name}`} value=${query[name] ?? ""} onChange=${choose(name)}>
      <option value="">any</option>${options.map(([value, text]) => html`<option key=${value} value=${value} selected=${query[name] === value}>${text}</option>`)}
    </select></div>`;
  const day = (name, label) => html`<div class=${`field ${query[name] ? "on" : ""}`}><label for=${`plans-${name}`}>${label}</label>
    <input id=${`plans-${name}`} type="date" min="2020-01-01" max="2199-12-31" value=${query[name] ?? ""} onChange=${choose(name)} /></div>`;
  const search = (event) => {
    event.preventDefault();
    set({ q: new FormData(event.target).get("q").trim() });
  };
  return html`<form class="filters" role="search" aria-label="Payment plans" onSubmit=${search}>
    <div class="line">
      <div class=${`field wide ${query.q ? "on" : ""}`}><label for="plans-q">Find</label>
        <input id="plans-q" name="q" type="search" autocomplete="off" spellcheck="false" placeholder="Email, or ID of a student, payment or plan" value=${query.q ?? ""} key=${query.q} /></div>
      <button type="submit" class="quiet">Find</button>
      ${isFiltered && html`<a class="button quiet" href=${routeTo(["plans"])}>Clear all filters</a>`}
      <a class="button quiet" href=${routeTo(["forecast"])}>Forecast</a>
      ${staff.decides && !query.q && html`<a class="button quiet" href=${routeTo(["exports"], { ...activeFilters(query, PLAN_FILTERS), new: "plans" })}>Export all as CSV</a>`}
    </div>
    <div class="line">
      ${select("status", "Status", planStatuses)}
      ${select("kind", "Kind", KINDS)}
      ${select("track", "For", products)}
      ${select("attention", "Attention", ATTENTION)}
      ${day("due_from", "Due from")}
      ${day("due_to", "Due to")}
    </div>
  </form>`;
}

/** A table of plans: of the list, and of a student. With a `queue` its rows can be chosen. */
export function PlanTable({ plans, showStudent = true, queue }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Payment plans"><table class="rows">
    <caption class="visually-hidden">Payment plans</caption>
    <thead><tr>${queue && html`<${ChooseAll} queue=${queue} />`}<th scope="col">Next due</th><th scope="col">Status</th>${showStudent && html`<th scope="col">Student</th>`}<th scope="col">For</th><th scope="col" class="right">Received</th><th scope="col" class="right">Outstanding</th><th scope="col">Attention</th></tr></thead>
    <tbody>${plans.map((plan) => html`<${Row} key=${plan.plan_id} plan=${plan} showStudent=${showStudent} queue=${queue} />`)}</tbody>
  </table></div>`;
}

function Row({ plan, showStudent, queue }) {
  const { plan_id: id, user_id: userId, email, next, currency, attention } = plan;
  const { due, collect } = plan.schedule.find(({ seq }) => next?.seqs.includes(seq)) ?? {};
  const name = `${planName(plan)}${showStudent ? `, ${email ?? userId}` : ""}`;
  return html`<tr data-id=${id} data-row=${id}>
    ${queue && html`<${Choose} queue=${queue} row=${{ key: id, canChoose: true }} name=${name} />`}
    <td><a class="open" href=${routeTo(["plans", id])}>${due ?? "nothing"}<span class="visually-hidden">, ${name}</span></a>${collect && collect !== due && html`<span class="why">charged on ${collect}</span>`}</td>
    <td><${PlanStatus} plan=${plan} /></td>
    ${showStudent && html`<td class="person"><${UserLink} id=${userId}>${email ?? userId}<//></td>`}
    <td>${planName(plan)}</td>
    <td class="right"><span class="sum">${moneyWithCode(plan.received, currency)}</span></td>
    <td class="right"><span class="sum">${moneyWithCode(plan.outstanding, currency)}</span></td>
    <td>${attention.length ? html`<${AttentionChips} reasons=${attention} />` : html`<${None} />`}</td>
  </tr>`;
}

const nameOf = (plan) => `${plan.email ?? plan.user_id}, ${planName(plan)}`;

/** `DP, 4x`. */
export const planName = (plan) => `${productOf(plan)}, ${plan.offer}`;

/** A plan's status, with the API's name on hover, and what only the student can do. */
export function PlanStatus({ plan }) {
  const [name, color] = planStatus(plan.status);
  const needed = plan.next?.needs_you;
  return html`<span class=${`chip ${color}`} title=${plan.status}>${name}</span>${needed && needed !== "suspended" && html`<span class="why">needs the student</span>`}`;
}
