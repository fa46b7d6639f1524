// The tabs above the payments list: a status each, with the number of payments that have it.
import { get, useResponse } from "./api.js";
import { Time } from "./components.js";
import { activeFilters } from "./filters.js";
import { html } from "./preact.js";
import { routeTo } from "./route.js";

/** Each tab: its name, its filters, and how its number is read from the API's answer. */
const TABS = [
  ["All", {}, (counts) => counts.all],
  ["Paid", { status: "SUCCEEDED" }],
  ["Partially refunded", { refunded: "partly" }, (counts) => counts.partly_refunded],
  ["Refunded", { status: "REFUNDED" }],
  ["Disputed", { disputed: "true" }, (counts) => counts.disputed],
  ["Incomplete", { status: "CREATED" }],
  ["Processing", { status: "PROCESSING" }],
  ["Failed", { status: "FAILED" }],
  ["Canceled", { status: "CANCELED" }],
];
const CHOSEN_BY_TABS = ["status", "refunded", "disputed"];

const lastDayOf = (month) =>
  new Date(Date.UTC(Number(month.slice(0, 4)), Number(month.slice(5)), 0)).toISOString().slice(0, 10);

/** The months and the track to count by; undefined if a filter needs more than the counts have. */
function countedBy({ track, from, to, ...others }) {
  const isCounted = Object.keys(others).every((name) => CHOSEN_BY_TABS.includes(name));
  const [first, last] = [from?.slice(0, 7), to?.slice(0, 7)];
  const isWhole = (!from || from === `${first}-01`) && (!to || to === lastDayOf(last));
  return isCounted && isWhole ? { first_month: first, last_month: last, track } : undefined;
}

/** The tabs, and when their numbers last changed. They have numbers for whole months and for one track or all. */
export function StatusTabs({ query, order, children }) {
  const filters = activeFilters(query);
  const range = countedBy(filters);
  const { response } = useResponse(async () => range && get("/admin/payments/statuses", range), [range ?? null]);
  const counts = range && response;
  const isCurrent = (chosen) => CHOSEN_BY_TABS.every((name) => filters[name] === chosen[name]);
  const rest = Object.fromEntries(Object.entries(filters).filter(([name]) => !CHOSEN_BY_TABS.includes(name)));
  return html`<nav class="tabs statuses" aria-label="Status">${TABS.map(
    ([name, chosen, read = ({ statuses }) => statuses[chosen.status]]) => html`<a key=${name}
      href=${routeTo(["payments"], { ...rest, ...chosen, order })} aria-current=${isCurrent(chosen) ? "true" : undefined}>${name}${range && html` <span class="number">${counts ? read(counts).toLocaleString("en") : ""}</span>`}</a>`,
  )}</nav>
  <div class="results">${children}<span class="grow"></span>${!range && html`<span class="small">The tabs have numbers for whole months and for one track or all. Other filters: use “Count and sum”.</span>`}${counts?.changed_at && html`<span class="small">Numbers last changed <${Time} at=${counts.changed_at} /></span>`}</div>`;
}
