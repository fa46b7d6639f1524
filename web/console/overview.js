// Overview: the figures of a range of days, the requests and disputes that wait, and each chart with its table.
import { money, sentenceCase } from "../shared/format.js";
import { get, useResponse } from "./api.js";
import { Chart } from "./chart.js";
import { Empty, Time, WhenLoaded } from "./components.js";
import { html } from "./preact.js";
import { routeTo } from "./route.js";

const DAY_MS = 86_400_000;
const DISPUTES_SHOWN = 50;
const daysAgo = (days) => new Date(Date.now() - days * DAY_MS).toISOString().slice(0, 10);
const RANGES = {
  today: { text: "Today", first: () => daysAgo(0), by: "day" },
  7: { text: "7 days", first: () => daysAgo(6), by: "day" },
  30: { text: "30 days", first: () => daysAgo(29), by: "day" },
  month: { text: "This month", first: () => `${daysAgo(0).slice(0, 7)}-01`, by: "day" },
  year: { text: "This year", first: () => `${daysAgo(0).slice(0, 4)}-01-01`, by: "month" },
};

export function Overview({ query }) {
  const name = Object.hasOwn(RANGES, query.range) ? query.range : "30";
  const { first, by } = RANGES[name];
  const range = { from: first(), to: daysAgo(0) };
  const load = () =>
    Promise.all([
      get("/admin/analytics", { ...range, by }),
      get("/admin/analytics/details", range),
      get("/admin/refund-requests", { limit: 1 }),
      get("/admin/disputes", { state: "open", limit: DISPUTES_SHOWN }),
    ]);
  const state = useResponse(load, [range, by]);
  return html`<h1 tabindex="-1">Overview</h1>
    <nav class="tabs" aria-label="Range">${["today", "7", "30", "month", "year"].map(
      (key) =>
        html`<a key=${key} href=${routeTo(["overview"], { range: key })} aria-current=${key === name ? "true" : undefined}>${RANGES[key].text}</a>`,
    )}</nav>
    <p class="small">${range.from} to ${range.to}, in days of UTC.</p>
    <${WhenLoaded} of=${state}>${([figures, details, requests, disputes]) => html`
      <${Waiting} requests=${requests.refund_requests} disputes=${disputes} />
      ${figures.totals.length === 0 && html`<${Empty} title="No payments in this range" />`}
      ${figures.totals.map((total) => html`<${Currency} key=${total.currency} total=${total} figures=${figures} details=${details} />`)}
      ${details.codes.length > 0 && html`<${Codes} ...${details} />`}
      ${details.cohorts.length > 0 && html`<${Cohorts} cohorts=${details.cohorts} />`}
      <${Recount} ...${figures.recount} />`}<//>`;
}

function Waiting({ requests, disputes }) {
  const open = disputes.disputes.length;
  const due = disputes.disputes.find(({ due_by: dueBy }) => dueBy);
  return html`<dl class="tiles">
    <${Tile} name="Oldest waiting request">${requests[0] ? html`<a href=${routeTo(["refund-requests"])}><${Time} at=${requests[0].at} /></a>` : "None"}<//>
    <${Tile} name="Open disputes">${open ? html`<a href=${routeTo(["disputes"])}>${disputes.next_cursor ? `more than ${open}` : open}</a>` : "None"}<//>
    <${Tile} name="Next evidence due">${due ? html`<${Time} at=${due.due_by} />` : "None"}<//>
  </dl>`;
}

const Tile = ({ name, children }) => html`<div class="panel"><dt>${name}</dt><dd>${children}</dd></div>`;

function Recount({ at, equal, differences }) {
  if (!at) return html`<p class="small">The figures have not been recounted yet. The first recount runs tonight.</p>`;
  if (equal) return html`<p class="note good">Recounted <${Time} at=${at} />: equal.</p>`;
  return html`<div class="note warn"><p>Recounted <${Time} at=${at} />: ${differences.length} figures differ, or the recount is not complete.</p>
    <ul class="plain">${differences.slice(0, 10).map(
      (one) =>
        html`<li key=${`${one.roll_up} ${one.figure}`}><code>${one.roll_up}</code> ${one.figure}: ${one.rolled_up} instead of ${one.recounted}</li>`,
    )}</ul></div>`;
}

const sum = (rows, name) => rows.reduce((total, row) => total + row[name], 0);
const percent = (part, whole) => (whole ? `${Math.round((100 * part) / whole)} %` : "–");

function Currency({ total, figures, details }) {
  const { currency } = total;
  const text = (amount) => money(amount, currency);
  const outcomes = details.outcomes.filter((one) => one.currency === currency);
  const periods = figures.periods.filter((one) => one.currency === currency);
  const id = (name) => `${name}-${currency}`;
  return html`<section aria-labelledby=${id("figures")}>
    <h2 id=${id("figures")}>${currency.toUpperCase()}</h2>
    <dl class="tiles">
      <${Tile} name="Gross">${text(total.settled)}<//>
      <${Tile} name="Net">${text(total.net)}<//>
      <${Tile} name="Refunds">${text(total.refunded)}<//>
      <${Tile} name="Disputes opened">${text(sum(outcomes, "disputed"))}<//>
      <${Tile} name="Lost to disputes">${text(total.lost)}<//>
      <${Tile} name="Stripe’s fees">${text(total.fees)}<//>
      <${Tile} name="Payments that settled">${percent(sum(outcomes, "paid"), sum(outcomes, "payments"))}<//>
    </dl>
    <${Periods} id=${id("net")} periods=${periods} text=${text} />
    <${Tracks} id=${id("tracks")} outcomes=${outcomes} text=${text} />
    <${Failures} id=${id("failures")} failures=${total.failures} />
  </section>`;
}

const largest = (rows) => rows.reduce((best, row) => (row.value > best.value ? row : best));

function Periods({ id, periods, text }) {
  if (periods.length === 0) return null;
  const rows = periods.map((one) => ({
    label: one.period,
    value: one.net,
    text: text(one.net),
    cells: [text(one.settled), text(one.refunded), text(one.lost), text(one.fees)],
  }));
  const best = largest(rows);
  return html`<${Chart} id=${id} title="Net by period" rows=${rows} finding=${`The most was ${best.text}, in ${best.label}.`}
    columns=${["Period", "Net", "Gross", "Refunds", "Lost", "Fees"]} />`;
}

function Tracks({ id, outcomes, text }) {
  const tracks = [...new Set(outcomes.map(({ track }) => track))];
  if (tracks.length === 0) return null;
  const rows = tracks.map((track) => {
    const own = outcomes.filter((one) => one.track === track);
    const settled = sum(own, "settled");
    const rate = percent(sum(own, "paid"), sum(own, "payments"));
    return { label: track, value: settled, text: text(settled), cells: [sum(own, "settlements"), rate, sum(own, "recovered")] };
  });
  const best = largest(rows);
  return html`<${Chart} id=${id} title="Gross by track" rows=${rows} finding=${`${best.label} received the most: ${best.text}.`}
    columns=${["Track", "Gross", "Settled payments", "Success rate", "After a failure"]} />`;
}

function Failures({ id, failures }) {
  const rows = Object.entries(failures).map(([code, count]) => ({
    label: sentenceCase(code),
    value: count,
    text: String(count),
  }));
  if (rows.length === 0) return null;
  rows.sort((one, other) => other.value - one.value);
  return html`<${Chart} id=${id} title="Failed charges by reason" rows=${rows} columns=${["Reason", "Charges"]}
    finding=${`The most frequent reason is “${rows[0].label}”: ${rows[0].text} of ${sum(rows, "value")}.`} />`;
}

function Codes({ codes, complete }) {
  const rows = codes.map(({ code, currency, uses, discount }) => ({
    label: `${code} (${currency.toUpperCase()})`,
    value: uses,
    text: String(uses),
    cells: [money(discount, currency)],
  }));
  const finding = `${rows[0].label} was used most: ${rows[0].text} times.${complete ? "" : " There are more codes: choose a shorter range."}`;
  return html`<${Chart} id="codes" title="Promotion codes" rows=${rows} finding=${finding} columns=${["Code", "Uses", "Discount"]} />`;
}

function Cohorts({ cohorts }) {
  const rows = cohorts.map(({ month, track, enrolled, refunded }) => ({
    label: `${month} ${track}`,
    value: enrolled,
    text: String(enrolled),
    cells: [refunded, percent(refunded, enrolled)],
  }));
  const enrolled = sum(cohorts, "enrolled");
  const refunded = sum(cohorts, "refunded");
  return html`<${Chart} id="cohorts" title="Students by month of purchase" rows=${rows}
    finding=${`${enrolled} enrolled, and ${refunded} of their purchases are refunded (${percent(refunded, enrolled)}).`}
    columns=${["Month and track", "Enrolled", "Refunded", "Share"]} />`;
}
