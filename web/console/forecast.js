// The cash that payment plans are expected to bring in, by month and currency.
import { decimal, moneyWithCode } from "../shared/format.js";
import { get, useResponse } from "./api.js";
import { csvAddress } from "./chart.js";
import { Empty, WhenLoaded } from "./components.js";
import { html } from "./preact.js";
import { changeQuery, routeTo } from "./route.js";

const MONTHS = ["3", "6", "12", "24"];

/** Read the forecast of all plans, page by page, and add it up. */
async function load(months) {
  const sums = new Map();
  let read = 0;
  let cursor;
  do {
    const page = await get("/admin/plans/forecast", { months, cursor });
    read += page.read;
    cursor = page.next_cursor;
    for (const row of page.months) {
      const key = `${row.month} ${row.currency}`;
      const sum = sums.get(key) ?? { ...row, due: 0, at_risk: 0, installments: 0 };
      for (const name of ["due", "at_risk", "installments"]) sum[name] += row[name];
      sums.set(key, sum);
    }
  } while (cursor);
  return { read, rows: [...sums.entries()].sort(([a], [b]) => a.localeCompare(b)).map(([, row]) => row) };
}

function csvOf(rows) {
  const cells = ({ currency, due, at_risk: atRisk, installments }) => [
    currency.toUpperCase(),
    decimal(due, currency),
    decimal(atRisk, currency),
    installments,
  ];
  return csvAddress(
    ["Month", "Currency", "Expected", "At risk", "Installments"],
    rows.map((row) => ({ label: row.month, cells: cells(row) })),
  );
}

export function Forecast({ query }) {
  const months = MONTHS.includes(query.months) ? query.months : "6";
  const state = useResponse(() => load(months), [months]);
  const empty = ({ rows }) => !rows.length && html`<${Empty} title="No installment is expected in these months" />`;
  return html`<h1 tabindex="-1">Forecast</h1>
    <p class="small">The amounts that payment plans will bring in if they are not changed. Overdue installments count in this month. Amounts at risk are those of plans that are overdue, or that are not charged unless the student or staff act.</p>
    <div class="choices"><div class="field"><label for="months">Months</label>
      <select id="months" value=${months} onChange=${({ target }) => changeQuery({ months: target.value })}>${MONTHS.map((count) => html`<option key=${count} value=${count}>${count}</option>`)}</select></div>
      <a href=${routeTo(["plans"])}>Payment plans</a></div>
    <${WhenLoaded} of=${state} empty=${empty}>${({ rows, read }) => html`
      <div class="scroll" tabindex="0" role="region" aria-label="Expected cash"><table>
        <caption class="visually-hidden">Expected cash by month</caption>
        <thead><tr><th scope="col">Month</th><th scope="col" class="right">Expected</th><th scope="col" class="right">At risk</th><th scope="col" class="right">Installments</th></tr></thead>
        <tbody>${rows.map((row) => html`<tr key=${`${row.month} ${row.currency}`}><th scope="row">${row.month}</th>
          <td class="right"><span class="sum">${moneyWithCode(row.due, row.currency)}</span></td>
          <td class="right"><span class="sum">${moneyWithCode(row.at_risk, row.currency)}</span></td>
          <td class="right">${row.installments}</td></tr>`)}</tbody></table></div>
      <p class="small">From ${read} ${read === 1 ? "plan" : "plans"}.</p>
      <p class="actions screen-only"><a class="button quiet" download="forecast.csv" href=${csvOf(rows)}>CSV<span class="visually-hidden"> of the forecast</span></a></p>`}<//>`;
}
