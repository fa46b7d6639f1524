// The queue of payments that need attention: each reason with a suggested action, worked in the row.
import { moneyWithCode } from "../shared/format.js";
import { ResolveDialog } from "./access_dialogs.js";
import { get, paymentChanged, useResponse } from "./api.js";
import { detailText, kindOf, suggestedAction } from "./attention_reasons.js";
import { Amount, DueBy, Empty, WhenLoaded, Pager, PlanLink, productOf, Status, Time, UserLink } from "./components.js";
import { CreatedHeader, orderOf, pageNames } from "./order.js";
import { PlanTable } from "./plans.js";
import { html, useRef } from "./preact.js";
import { Choose, ChooseAll, QueueBar, useQueue } from "./queue.js";
import { LoadedDecision } from "./refund_requests.js";
import { ResolveBatch } from "./resolve_batch.js";
import { Result } from "./result.js";
import { openDialog, routeTo } from "./route.js";

const PLANS = 20;
/** Reasons that only a decision about the request, or a refund, ends. */
const NOT_RESOLVED = ["", "refund_request", "withdrawal"];

/** A payment in the list without a reason of its own belongs to a double payment. */
const reasonsOf = ({ attention }) =>
  attention.length ? attention : [{ name: "", detail: "part of a double payment in this list" }];

const rowOf = (payment, reason) => ({
  key: `${payment.payment_id} ${reason.name}`,
  canChoose: !NOT_RESOLVED.includes(kindOf(reason)),
  payment,
  reason,
});

const nameOf = ({ payment, reason }) => `${kindOf(reason).replace("_", " ")} of ${payment.email ?? payment.user_id}, ${productOf(payment)}`;

/** A page of the payments that need attention; with the first page, the newest plans that do. */
async function load(order, cursor) {
  const [page, { plans, next_cursor: morePlans }] = await Promise.all([
    get("/admin/attention", { limit: 50, order, cursor }),
    cursor ? { plans: [] } : get("/admin/plans", { attention: "true", limit: PLANS }),
  ]);
  return { ...page, plans, morePlans };
}

export function Attention({ query, staff }) {
  const { cursor } = query;
  const order = orderOf(query);
  const state = useResponse(() => load(order, cursor), [order ?? "", cursor]);
  const plans = state.response?.plans ?? [];
  const payments = state.response?.payments ?? [];
  const rows = payments.flatMap((payment) => reasonsOf(payment).map((reason) => rowOf(payment, reason)));
  const queue = useQueue(rows, state, paymentChanged);
  const { done, result } = queue;
  const empty = ({ payments: shown, next_cursor: next }) =>
    !shown.length &&
    !next &&
    html`<${Empty} title=${plans.length ? "No payment needs attention" : "Nothing needs attention"}><p>Disputes, differing amounts, double payments and failed refunds appear here.</p><//>`;
  return html`<h1 tabindex="-1">Needs attention</h1>
    <${Result} result=${result} />
    <${WhenLoaded} of=${state} empty=${empty}>
      ${({ next_cursor: next }) => html`
      ${staff.decides && html`<${QueueBar} queue=${queue}>
        <button type="button" class="quiet" onClick=${() => queue.withChosen(() => openDialog("resolve-selected"))}>Mark selected as resolved…</button><//>`}
      <div class="scroll"><table class="rows queue">
        <caption class="visually-hidden">Payments that need attention, ${order ? "oldest" : "newest"} first</caption>
        <thead><tr>${staff.decides && html`<${ChooseAll} queue=${queue} />`}<${CreatedHeader} path=${["attention"]} query=${{}} order=${order} /><th scope="col">Student</th><th scope="col">Track</th><th scope="col" class="right">Amount</th><th scope="col">Status</th><th scope="col">Issue and suggested action</th><th scope="col"><span class="visually-hidden">Actions</span></th></tr></thead>
        <tbody>${rows.map((row) => html`<${Row} key=${row.key} row=${row} queue=${queue} staff=${staff} />`)}</tbody>
      </table></div>
      <${Pager} path=${["attention"]} query=${{ order, cursor }} next=${next} count=${payments.length} names=${pageNames(order)} />`}
    <//>
    <div>${plans.length > 0 && html`<${PlansNeedingAttention} plans=${plans} more=${state.response.morePlans} />`}</div>
    ${staff.decides && html`<${OpenDialog} key=${`${query.do} ${query.on}`} query=${query} rows=${rows} queue=${queue} done=${done} />`}`;
}

function PlansNeedingAttention({ plans, more }) {
  return html`<section><h2>Payment plans that need attention</h2><${PlanTable} plans=${plans} />
    ${more && html`<p class="small"><a href=${routeTo(["plans"], { attention: "true" })}>All payment plans that need attention</a></p>`}</section>`;
}

function Row({ row, queue, staff }) {
  const { payment, reason } = row;
  const { payment_id: id, currency } = payment;
  const kind = kindOf(reason);
  const detail = detailText(reason);
  return html`<tr data-id=${id} data-row=${row.key}>
    ${staff.decides && html`<${Choose} queue=${queue} row=${row} name=${nameOf(row)} />`}
    <td><a class="open" href=${routeTo(["payments", id])}><${Time} at=${payment.created_at} /><span class="visually-hidden"> ${moneyWithCode(payment.amount, currency)}, ${nameOf(row)}</span></a></td>
    <td class="person"><${UserLink} id=${payment.user_id}>${payment.email ?? payment.user_id}<//></td>
    <td>${productOf(payment)}<${PlanLink} payment=${payment} /></td>
    <td class="right"><${Amount} payment=${payment} /></td>
    <td><${Status} payment=${payment} /></td>
    <td class="long"><span class="chip warn">${kind.replace("_", " ") || "other"}</span> ${kind && detail.startsWith(`${kind} `) ? detail.slice(kind.length + 1) : detail}<${DueBy} reason=${reason} /><span class="advice">${suggestedAction(reason)}</span></td>
    <td class="actions">${staff.decides && html`<${RowActions} row=${row} />`}</td>
  </tr>`;
}

/** How staff end a reason: a refund request is decided, a withdrawal is refunded, all else is marked as resolved. */
function RowActions({ row }) {
  const { payment, reason, key } = row;
  const of = html`<span class="visually-hidden"> ${nameOf(row)}</span>`;
  const button = (name, text, quiet = true) =>
    html`<button type="button" class=${quiet ? "quiet" : ""} data-next onClick=${() => openDialog(name, { on: key })}>${text}${of}</button>`;
  if (kindOf(reason) === "refund_request")
    return html`${payment.dispute !== "open" && button("approve", "Approve…", false)} ${button("decline", "Decline…")}`;
  if (kindOf(reason) === "withdrawal")
    return html`<a class="button quiet" data-next href=${routeTo(["payments", payment.payment_id], { do: "refund" })}>Refund…${of}</a>`;
  return reason.name && button("resolve", "Mark as resolved…");
}

/** The dialog named in the address, if its row is in the list. It stays open if another member of staff acts first. */
function OpenDialog({ query, rows, queue, done }) {
  const row = rows.find(({ key }) => key === query.on);
  const opened = useRef(row);
  const chosen = useRef(rows.filter(({ key }) => queue.chosen.includes(key)));
  if (query.do === "resolve-selected" && chosen.current.length)
    return html`<${ResolveBatch} rows=${chosen.current} nameOf=${nameOf} done=${done} />`;
  opened.current ??= row; // the list may load after the dialog's address
  if (!opened.current) return null;
  const { payment, reason, key, canChoose } = opened.current;
  const finish = (text) => done(text ? [key] : [], text);
  if (query.do === "resolve" && canChoose)
    return html`<${ResolveDialog} details=${{ payment }} reason=${row?.reason ?? reason} present=${Boolean(row)} done=${finish} />`;
  if (["approve", "decline"].includes(query.do) && kindOf(reason) === "refund_request")
    return html`<${LoadedDecision} row=${{ id: reason.name.split(":")[1], payment_id: payment.payment_id }} decision=${query.do} done=${(_, text) => finish(text)} />`;
  return null;
}
