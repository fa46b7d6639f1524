// Overview, the landing page: the figures of a range of days, and the requests and disputes that wait.
import { money, relativeTime, sentenceCase } from "../shared/format.js";
import { get, useResponse } from "./api.js";
import { Empty, productOf, Time, WhenLoaded } from "./components.js";
import {
  Codes,
  Cohorts,
  Failures,
  Periods,
  PlanPeriods,
  Plans,
  percent,
  sum,
  Tracks,
  whole,
} from "./overview_charts.js";
import { html } from "./preact.js";
import { changeQuery, routeTo } from "./route.js";

const DISPUTES_SHOWN = 50;
const DIFFERENCES_SHOWN = 10;
const MAX_DIFFERENCES = 100; // in a recount's report

/** The day that is so many days before another one, which is text such as `2026-11-29`. */
function daysBefore(day, days) {
  const date = new Date(`${day}T00:00:00Z`);
  date.setUTCDate(date.getUTCDate() - days);
  return date.toISOString().slice(0, 10);
}
const todayInUtc = () => new Date().toISOString().slice(0, 10);
const RANGES = {
  today: { text: "Today", first: (today) => today, by: "day" },
  7: { text: "7 days", first: (today) => daysBefore(today, 6), by: "day" },
  30: { text: "30 days", first: (today) => daysBefore(today, 29), by: "day" },
  month: { text: "This month", first: (today) => `${today.slice(0, 7)}-01`, by: "day" },
  year: { text: "This year", first: (today) => `${today.slice(0, 4)}-01-01`, by: "month" },
};
const RANGE_NAMES = ["today", "7", "30", "month", "year"]; // an object would begin with the numbers
const ZONES = { utc: "UTC", school: "The school’s" };
const chosen = (options, name, standard) => (Object.hasOwn(options, name) ? name : standard);

/** Today in the time zone of the days. Only the API knows the school's: a range without an end ends today. */
async function today(zone) {
  if (zone === "utc") return todayInUtc();
  return (await get("/admin/analytics", { zone, from: daysBefore(todayInUtc(), 1) })).range.to;
}

async function loadFigures(name, zone, track) {
  const { first, by } = RANGES[name];
  const to = await today(zone);
  const range = { from: first(to), to, zone, track };
  const [figures, details] = await Promise.all([
    get("/admin/analytics", { ...range, by }),
    get("/admin/analytics/details", range),
  ]);
  return { figures, details, by };
}

export function Overview({ query }) {
  const name = chosen(RANGES, query.range, "30");
  const zone = chosen(ZONES, query.zone, "utc");
  const { track } = query;
  const state = useResponse(() => loadFigures(name, zone, track), [name, zone, track]);
  return html`<h1 tabindex="-1">Overview</h1>
    <${Waiting} />
    <div class="choices">
      <nav class="tabs" aria-label="Range">${RANGE_NAMES.map(
        (key) =>
          html`<a key=${key} href=${routeTo(["overview"], { ...query, range: key })} aria-current=${key === name ? "true" : undefined}>${RANGES[key].text}</a>`,
      )}</nav>
      <${TrackField} track=${track} />
      <${Choice} name="zone" text="Days of" value=${zone} options=${Object.entries(ZONES)} />
    </div>
    <${WhenLoaded} of=${state}>${({ figures, details, by }) => html`
      <p class="small">${rangeText(figures.range)}<${RecountTime} ...${figures.recount} /></p>
      <${Differences} ...${figures.recount} />
      ${figures.totals.length === 0 && html`<${Empty} title="No payments in this range" />`}
      ${figures.totals.map((total) => html`<${Currency} key=${total.currency} total=${total} figures=${figures} details=${details} by=${by} />`)}
      <div class="charts">
        <${Codes} ...${details} />
        <${Cohorts} cohorts=${details.cohorts} />
      </div>`}<//>`;
}

const rangeText = ({ from, to, zone }) => `${from === to ? from : `${from} to ${to}`}, in days of ${zone}. `;

function TrackField({ track }) {
  const catalog = useResponse(() => get("/payments/tracks"), []);
  const { tracks = [], memberships = [], no_longer_sold: former = [] } = catalog.response ?? {};
  const names = new Set([...tracks, ...memberships, ...former].map(productOf));
  if (track) names.add(track);
  const options = [["", "All"], ...[...names].map((one) => [one, one])];
  return html`<${Choice} name="track" text="Track" value=${track ?? ""} options=${options} />`;
}

/** A field whose value is in the address. */
function Choice({ name, text, value, options }) {
  const apply = ({ target }) => changeQuery({ [name]: target.value });
  return html`<span class="field"><label for=${`f-${name}`}>${text}</label>
    <select id=${`f-${name}`} value=${value} onChange=${apply}>${options.map(
      ([key, label]) => html`<option key=${key} value=${key} selected=${key === value}>${label}</option>`,
    )}</select></span>`;
}

/** The requests and disputes that wait for staff, whatever the range. Its tiles have their place before the answer comes. */
function Waiting() {
  const load = () =>
    Promise.all([
      get("/admin/refund-requests", { limit: 1 }),
      get("/admin/disputes", { state: "open", limit: DISPUTES_SHOWN }),
    ]);
  const { response, error, reload } = useResponse(load, []);
  const unknown = error ? "Not known" : "…";
  const [requests, disputes] = response ?? [];
  const request = requests?.refund_requests[0];
  const open = disputes?.disputes.length;
  const due = disputes?.disputes.find(({ due_by: dueBy }) => dueBy);
  return html`<dl class="tiles waiting" aria-busy=${response || error ? "false" : "true"}>
    <${Tile} name="Oldest waiting request" note=${request && relativeTime(request.at)}>${
      request ? html`<a href=${routeTo(["refund-requests"])}><${Time} at=${request.at} /></a>` : response ? "None" : unknown
    }<//>
    <${Tile} name="Open disputes">${open ? html`<a href=${routeTo(["disputes"])}>${disputes.next_cursor ? `more than ${open}` : open}</a>` : response ? "None" : unknown}<//>
    <${Tile} name="Next evidence due" note=${due && relativeTime(due.due_by)}>${
      due ? html`<a href=${routeTo(["disputes"])}><${Time} at=${due.due_by} /></a>` : response ? "None" : unknown
    }<//>
  </dl>
  ${error && html`<p class="note warn" role="alert">Requests and disputes could not be loaded. <button type="button" class="quiet" onClick=${reload}>Load it again</button></p>`}`;
}

const Tile = ({ name, note, children }) =>
  html`<div class="panel"><dt>${name}</dt><dd>${children}${note && html`<span class="why">${note}</span>`}</dd></div>`;

function RecountTime({ at, equal }) {
  if (!at) return "The figures have not been recounted yet. The first recount runs tonight.";
  return html`Recounted on <${Time} at=${at} />${equal ? ": equal." : "."}`;
}

/** The differences of the newest recount, or that it is not complete. */
function Differences({ at, equal, differences }) {
  if (!at || equal) return null;
  const count = differences.length;
  if (!count)
    return html`<p class="note warn">The recount is not complete. It has found no difference so far.</p>`;
  const number = `${whole(count)}${count >= MAX_DIFFERENCES ? " or more" : ""}`;
  const rest = count - DIFFERENCES_SHOWN;
  return html`<div class="note warn"><p class="strong">${count === 1 ? "1 figure differs" : `${number} figures differ`} from the payments.</p>
    <ul class="plain">${differences
      .slice(0, DIFFERENCES_SHOWN)
      .map((one) => html`<li key=${`${one.roll_up} ${one.figure}`}><${Difference} ...${one} /></li>`)}</ul>
    ${rest > 0 && html`<p>And ${whole(rest)} more.</p>`}</div>`;
}

const AMOUNTS = new Set(["created", "settled", "refunded", "lost", "fees", "disputed", "discount"]);

/** One difference. A roll-up's key is `2026-11#UTC|day#2026-11-23#usd#DP#card`; cohorts and statuses have no currency. */
function Difference({ roll_up: key, figure, rolled_up: counted, recounted }) {
  if (figure === "missing") {
    const isPlan = key.startsWith("pln_");
    return html`${isPlan ? "Plan" : "Payment"} <a href=${routeTo([isPlan ? "plans" : "payments", key])}><code>${key}</code></a> is not counted as it is now.`;
  }
  const [partition, measure = ""] = key.split("|");
  const [kind, period, ...parts] = measure.split("#");
  const [currency, track, ...rest] = ["cohort", "status"].includes(kind) ? [undefined, ...parts] : parts;
  const of = [currency?.toUpperCase(), track, rest.join("#")].filter(Boolean).join(", "); // a code may contain "#"
  const text = (number) => (currency && AMOUNTS.has(figure) ? money(number, currency) : whole(number));
  return html`<span title=${key}>${period} (${partition.split("#")[1]}), ${of}: ${sentenceCase(figure).toLowerCase()} ${text(counted)} instead of ${text(recounted)}</span>`;
}

function Currency({ total, figures, details, by }) {
  const { currency } = total;
  const text = (amount) => money(amount, currency);
  const outcomes = details.outcomes.filter((one) => one.currency === currency);
  const [paid, payments] = [sum(outcomes, "paid"), sum(outcomes, "payments")];
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
      <${Tile} name="Success rate" note=${`${whole(paid)} of ${whole(payments)} payments settled`}>${percent(paid, payments)}<//>
    </dl>
    <${Periods} id=${id("net")} total=${total} figures=${figures} by=${by} />
    <div class="charts">
      <${Tracks} id=${id("tracks")} outcomes=${outcomes} currency=${currency} />
      <${Plans} id=${id("plans")} plans=${details.plans.filter((one) => one.currency === currency)} currency=${currency} />
      <${PlanPeriods} id=${id("plan-periods")} total=${total} figures=${figures} by=${by} />
      <${Failures} id=${id("failures")} failures=${total.failures} />
    </div>
  </section>`;
}
