// Statement: what moved the balance at Stripe in a month, and which payments each payout of the month includes.
import { utc } from "../shared/format.js";
import { explain, isUncertain, post, reportSessionExpired } from "./api.js";
import { Button, Empty, ErrorMessage, Loading } from "./components.js";
import { useExport } from "./exports.js";
import { html, useRef, useState } from "./preact.js";
import { changeQuery, routeTo } from "./route.js";
import { Payouts, PlanSums, Sums, Totals, Unexplained } from "./statement_tables.js";

const FIRST_MONTH = "2020-01";
const isMonth = (text) => /^20[2-9]\d-(0[1-9]|1[0-2])$/.test(text);
const currentMonth = () => new Date().toISOString().slice(0, 7);

/** The month before the current one (UTC), which an accountant closes now. */
function previousMonth() {
  const now = new Date();
  return new Date(Date.UTC(now.getUTCFullYear(), now.getUTCMonth() - 1)).toISOString().slice(0, 7);
}

/** `2026-11` is `November 2026`. */
const monthName = (month) =>
  new Intl.DateTimeFormat("en-GB", { month: "long", year: "numeric", timeZone: "UTC" }).format(new Date(`${month}-01`));

export function Statement({ query, staff }) {
  if (!staff.decides) {
    return html`<h1 tabindex="-1">Statement</h1><${Empty} title="Only admins can make a statement">
      <p>A statement lists the payments of many students. The differences that the daily audit found are in <a href=${routeTo(["books"])}>Books</a>.</p><//>`;
  }
  const month = isMonth(query.month ?? "") ? query.month : previousMonth();
  const { statement, payouts, currency } = query;
  return html`<h1 tabindex="-1">Statement <span class="print-only">of ${monthName(month)}</span></h1>
    <${Order} key=${month} month=${month} made=${Boolean(statement)} />
    ${statement && html`<${Result} key=${statement} id=${statement} month=${month} currency=${currency} title="Balance transactions" />`}
    ${payouts && html`<${Result} key=${payouts} id=${payouts} month=${month} currency=${currency} title="Payouts" />`}`;
}

/** The choice of the month, and the button that makes both files. The ids of the files are part of the address. */
function Order({ month, made }) {
  const busy = useRef(false);
  const [state, set] = useState({});
  const make = async (event) => {
    event.preventDefault();
    if (busy.current) return;
    busy.current = true;
    set({ busy: true });
    try {
      const [statement, payouts] = [
        await post("/admin/exports", { kind: "statement", month }),
        await post("/admin/exports", { kind: "payouts", month }),
      ];
      set({});
      changeQuery({ month, statement: statement.export_id, payouts: payouts.export_id });
    } catch (error) {
      const advice = isUncertain(error) ? " It’s safe to try again: a statement changes nothing." : "";
      if (!reportSessionExpired(error)) set({ error: `${explain(error)}${advice}` });
      else set({});
    } finally {
      busy.current = false;
    }
  };
  const choose = ({ target }) => {
    if (isMonth(target.value) && target.value <= currentMonth()) {
      changeQuery({ month: target.value, statement: "", payouts: "", currency: "" });
    }
  };
  return html`<form class="filters screen-only" onSubmit=${make}>
    <div class="line">
      <div class="field"><label for="month">Month (UTC)</label>
        <input id="month" type="month" required pattern="20[2-9][0-9]-(0[1-9]|1[0-2])" placeholder="2026-11"
          min=${FIRST_MONTH} max=${currentMonth()} value=${month} onChange=${choose} /></div>
      <${Button} type="submit" busy=${state.busy} onClick=${undefined}>${made ? "Make it again" : "Make statement"}<//>
      ${made && html`<button type="button" class="quiet" onClick=${() => window.print()}>Print</button>`}
    </div>
    <p class="small">Every movement of the balance at Stripe, by its own date (UTC). This is logged under your name.</p>
    ${state.error && html`<p class="note bad" role="alert">${state.error}</p>`}
  </form>`;
}

/** One of the two files: its progress, then its tables and the link to it. */
function Result({ id, month, currency, title }) {
  const { response, error, reload } = useExport(id);
  let content = html`<${Loading} />`;
  if (error?.status === 404)
    content = html`<${Empty} title="Not found"><p>It has expired, or it isn’t yours. Make the statement again.</p><//>`;
  else if (error && !response) content = html`<${ErrorMessage} error=${error} retry=${reload} />`;
  else if (response?.state === "failed")
    content = html`<p class="note bad" role="alert">This file could not be made: ${response.problem}</p>`;
  else if (response?.state === "done") content = html`<${Done} details=${response} month=${month} currency=${currency} />`;
  else if (response) content = html`<${Progress} rows=${response.rows} />`;
  return html`<section class="panel statement" aria-label=${title}><h2>${title}</h2>${content}</section>`;
}

const Progress = ({ rows }) =>
  html`<p role="status"><span class="spinner" aria-hidden="true"></span> Reading from Stripe… ${rows} rows so far</p>
    <p class="small">It continues while this page is open, and you can return to this address.</p>`;

function Done({ details, month, currency }) {
  const { statement, tie_out: tieOut, rows, url } = details;
  const period = statement ?? tieOut;
  if (!period) return html`<${Empty} title="Not a statement"><p>Make the statement again.</p><//>`;
  return html`<p role="status">${monthName(period.month)} (UTC), ${rows} ${rows === 1 ? "row" : "rows"}, through ${utc(period.through)}.</p>
    ${!period.complete && html`<p class="note warn">The month was not over when this was made. More will follow.</p>`}
    ${period.month !== month && html`<p class="note warn">This file is of another month. Make the statement again.</p>`}
    <p class="screen-only"><a class="button" href=${url}>Download CSV</a></p>
    ${statement && html`<${Currencies} totals=${statement.totals} currency=${currency} />`}
    ${statement && html`<${Totals} ...${statement} currency=${currency} /><${PlanSums} ...${statement} currency=${currency} /><${Sums} ...${statement} currency=${currency} />`}
    ${tieOut && html`<${Payouts} payouts=${tieOut.payouts} currency=${currency} />`}
    <${Unexplained} ...${period} currency=${currency} />`;
}

/** Which currency both files show, if there are several. */
function Currencies({ totals, currency = "" }) {
  if (totals.length < 2) return null;
  return html`<div class="field screen-only"><label for="currency">Currency</label>
    <select id="currency" value=${currency} onChange=${({ target }) => changeQuery({ currency: target.value })}>
      <option value="">All</option>${totals.map((one) => html`<option key=${one.currency} value=${one.currency}>${one.currency.toUpperCase()}</option>`)}
    </select></div>`;
}
