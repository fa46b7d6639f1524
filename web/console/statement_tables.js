// The tables of a statement and of the tie-out by payout. Each amount is signed: below zero if it left the balance.
import { groupedDecimal, moneyWithCode, sentenceCase } from "../shared/format.js";
import { Empty, Id, None, usePages } from "./components.js";
import { html } from "./preact.js";
import { routeTo } from "./route.js";

const KINDS = {
  charge: "Payments",
  refund: "Refunds",
  dispute: "Disputes",
  unknown_charge: "Charges of no payment",
  unknown_refund: "Refunds of no payment",
  unknown_dispute: "Disputes of no payment",
  stripe_fee: "Stripe’s fees",
  contribution: "Contributions",
  adjustment: "Adjustments",
  payout: "Payouts",
  other: "Other",
};
const TOTALS = [
  ["settled", "Settled"],
  ["refunded", "Refunded"],
  ["lost", "Lost to disputes"],
  ["fees", "Fees"],
  ["net", "Net of payments"],
  ["other", "Belongs to no payment"],
  ["paid_out", "Paid out to the bank"],
  ["balance_change", "Change of the balance"],
];
const RESULTS = new Set(["net", "balance_change"]);
const PAID_OUT_IDS = ["payment_intent", "charge", "refund", "dispute", "payout", "source"];
const inCurrency = (rows, currency) => rows.filter((row) => !currency || row.currency === currency);

/** A table that may be wider than its place: the keyboard can scroll it. */
const Scroll = ({ label, children }) =>
  html`<div class="scroll" role="region" aria-label=${label} tabindex="0">${children}</div>`;

/** The totals of each currency. */
export function Totals({ totals, currency }) {
  const shown = inCurrency(totals, currency);
  if (!shown.length) return html`<${Empty} title="Nothing moved the balance in this month" />`;
  return html`<div class="groups wide">${shown.map(
    (total) => html`<table key=${total.currency} class="totals"><caption>${total.currency.toUpperCase()}</caption>
      <tbody>${TOTALS.map(
        ([name, text]) => html`<tr key=${name} class=${RESULTS.has(name) ? "result" : ""}><th scope="row">${text}</th>
        <td class="right"><span class="sum">${groupedDecimal(total[name], total.currency)}</span></td></tr>`,
      )}</tbody></table>`,
  )}</div>`;
}

const PLAN_KINDS = { installments: "Installments", membership: "Memberships" };
const OF_PLANS = TOTALS.slice(0, 5);

/** The amounts of payments by kind of plan, if the month has payments of plans. They add up to the totals. */
export function PlanSums({ by_plan: sums, currency }) {
  const shown = inCurrency(sums, currency);
  if (!shown.some(({ plan_kind: kind }) => kind)) return null;
  return html`<h3>By plan</h3><${Scroll} label="Sums by kind of plan"><table class="rows">
    <thead><tr><th scope="col">Paid by</th><th scope="col" class="right">Lines</th>${OF_PLANS.map(([name, text]) => html`<th key=${name} scope="col" class="right">${text}</th>`)}</tr></thead>
    <tbody>${shown.map(
      (one) => html`<tr key=${`${one.currency} ${one.plan_kind}`}><th scope="row">${PLAN_KINDS[one.plan_kind] ?? "Payments without a plan"}</th><td class="right">${one.lines}</td>
      ${OF_PLANS.map(([name]) => html`<td key=${name} class="right"><span class="sum">${moneyWithCode(one[name], one.currency)}</span></td>`)}</tr>`,
    )}</tbody>
  </table><//>`;
}

const SUM_COLUMNS = html`<th scope="col" class="right">Lines</th><th scope="col" class="right">Amount</th><th scope="col" class="right">Fee</th><th scope="col" class="right">Net</th>`;

/** The cells of a sum. Its amounts and its currency are named in one place. */
function SumCells({ lines, amount, fee, net, currency }) {
  const cells = [amount, -fee, net].map((value) => moneyWithCode(value, currency));
  return html`<td class="right">${lines}</td>${cells.map((text, index) => html`<td key=${index} class="right"><span class="sum">${text}</span></td>`)}`;
}

const Kind = ({ kind, explained }) =>
  html`<th scope="row">${KINDS[kind] ?? sentenceCase(kind)}${!explained && html` <span class="chip warn">not explained</span>`}</th>`;

export function Sums({ sums, currency }) {
  const shown = inCurrency(sums, currency);
  return (
    shown.length > 0 &&
    html`<h3>By kind</h3><${Scroll} label="Sums by kind"><table class="rows">
      <thead><tr><th scope="col">Kind</th>${SUM_COLUMNS}</tr></thead>
      <tbody>${shown.map((one) => html`<tr key=${`${one.currency} ${one.kind} ${one.explained}`}><${Kind} ...${one} /><${SumCells} ...${one} /></tr>`)}</tbody>
    </table><//>`
  );
}

/** Each payout with the sums of what it includes, and whether they are its amount. */
export function Payouts({ payouts, currency }) {
  const shown = inCurrency(payouts, currency);
  if (!shown.length) return html`<${Empty} title="No payouts in this month" />`;
  return html`<${Scroll} label="Payouts"><table class="payouts">
    <thead><tr><th scope="col">Payout and what it includes</th>${SUM_COLUMNS}</tr></thead>
    ${shown.map((payout) => html`<${Payout} key=${payout.payout_id} payout=${payout} />`)}
  </table><//>`;
}

function Payout({ payout }) {
  const { payout_id: id, created_at: created, arrives_at: arrives, status, amount, currency, sums } = payout;
  return html`<tbody>
    <tr class="head"><th scope="rowgroup" colspan="4"><${Id} id=${id} /> <${TieOut} payout=${payout} />
      <span class="why">${sentenceCase(status)}, ${created.slice(0, 10)}, arrives ${arrives.slice(0, 10)} (UTC)</span></th>
      <td class="right"><span class="sum strong">${moneyWithCode(amount, currency)}</span></td></tr>
    ${sums.map((one) => html`<tr key=${`${one.kind} ${one.explained}`}><${Kind} ...${one} /><${SumCells} ...${one} /></tr>`)}
  </tbody>`;
}

/** Whether a payout equals what it includes, in words. */
function TieOut({ payout }) {
  const { listed, automatic, difference, currency, reconciliation_status: status } = payout;
  if (!automatic) return html`<span class="chip warn">manual: Stripe cannot say what it includes</span>`;
  if (!listed) return html`<span class="chip warn">Stripe does not list what it includes</span>`;
  if (difference === 0) {
    const isFinal = status === "completed";
    return html`<span class=${`chip ${isFinal ? "good" : "busy"}`}>${isFinal ? "ties out" : "ties out so far"}</span>`;
  }
  return html`<span class="chip bad">differs by ${moneyWithCode(difference, currency)}</span>`;
}

/** The lines that no payment explains, with every id that they have. `sums` or those of `payouts` count them all. */
export function Unexplained({ unexplained, sums, payouts, currency }) {
  const listed = inCurrency(unexplained, currency);
  const counted = inCurrency(sums ?? payouts.flatMap((payout) => payout.sums), currency);
  const count = counted.reduce((total, { explained, lines }) => total + (explained ? 0 : lines), 0);
  const [shown, more] = usePages(listed);
  if (count === 0) return html`<p class="note good">Every line is explained by a payment or a payout.</p>`;
  return html`<h3>Not explained</h3>
    <p class="small">${count} ${count === 1 ? "line" : "lines"} without a payment that has the same amount.${listed.length < count && ` The newest ${listed.length} are shown; the CSV has all.`}</p>
    <${Scroll} label="Lines that are not explained"><table class="rows">
      <thead><tr><th scope="col">Day (UTC)</th><th scope="col">Kind</th><th scope="col" class="right">Net</th><th scope="col">Payment</th><th scope="col">IDs</th></tr></thead>
      <tbody>${listed.map((one, index) => html`<${Line} key=${one.transaction_id} line=${one} isLater=${index >= shown.length} />`)}</tbody>
    </table><//>${more}`;
}

/** A line. Those of later pages are printed too: paper has no button for them. */
function Line({ line, isLater }) {
  const { transaction_id: id, created_at: at, kind, type, net, currency, payment_id: payment, description } = line;
  const { our_amount: ours, source_amount: theirs, source_currency: of } = line;
  const ids = [id, ...PAID_OUT_IDS.map((name) => line[name]).filter(Boolean)];
  return html`<tr class=${isLater ? "print-only" : ""}>
    <td>${at.slice(0, 10)}</td>
    <td>${KINDS[kind] ?? sentenceCase(kind)}<span class="why">${description || sentenceCase(type)}</span></td>
    <td class="right"><span class="sum">${moneyWithCode(net, currency)}</span>
      ${ours !== null && html`<span class="why">ours ${moneyWithCode(ours, of)}, Stripe’s ${moneyWithCode(theirs, of)}</span>`}</td>
    <td>${payment ? html`<a href=${routeTo(["payments", payment])}>${payment}</a>` : html`<${None} />`}</td>
    <td class="long">${ids.map((one) => html`<${Id} key=${one} id=${one} /> `)}</td>
  </tr>`;
}
