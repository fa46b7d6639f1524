// The calendar beside the payments list: the months of a year and the days of a month, each with its number of payments.
import { get, useResponse } from "./api.js";
import { ErrorMessage, Loading } from "./components.js";
import { activeFilters } from "./filters.js";
import { html, useEffect, useState } from "./preact.js";
import { routeTo } from "./route.js";

const FIRST_YEAR = 2020;
const MAX_REQUESTS = 30;
const NARROW = "(max-width: 75rem)"; // as in console.css

const monthName = (month) =>
  new Intl.DateTimeFormat("en-GB", { month: "long", timeZone: "UTC" }).format(new Date(`${month}-01T00:00:00Z`));
const weekday = (date) =>
  new Intl.DateTimeFormat("en-GB", { weekday: "short", timeZone: "UTC" }).format(new Date(`${date}T00:00:00Z`));
const lastDay = (month) =>
  new Date(Date.UTC(Number(month.slice(0, 4)), Number(month.slice(5)), 0)).toISOString().slice(0, 10);

/** The counts of a year or a month. A response that is not complete is continued by the next request. */
async function loadCounts(params) {
  for (let request = 1; ; request += 1) {
    const response = await get("/admin/counts", params);
    if (response.complete || request === MAX_REQUESTS) return response;
  }
}

export function Calendar({ query }) {
  const thisYear = new Date().toISOString().slice(0, 4);
  const [selectedMonth = ""] = /^\d{4}-\d\d(?=-\d\d$)/.exec(query.from || query.to) ?? [];
  const isWithinMonth = query.from && query.to && query.from.slice(0, 7) === query.to.slice(0, 7);
  const [year, setYear] = useState(Number(selectedMonth.slice(0, 4) || thisYear));
  useEffect(() => {
    if (selectedMonth) setYear(Number(selectedMonth.slice(0, 4)));
  }, [selectedMonth]);
  const { response, error, reload } = useResponse(() => loadCounts({ year }), [year]);
  const [isOpen] = useState(() => !matchMedia(NARROW).matches);
  return html`<aside class="calendar" aria-label="By date"><details open=${isOpen}>
    <summary>By date</summary>
    <div class="year">
      <button type="button" class="quiet" aria-label="Previous year" disabled=${year <= FIRST_YEAR} onClick=${() => setYear(year - 1)}>‹</button>
      <h2>${year}</h2>
      <button type="button" class="quiet" aria-label="Next year" disabled=${year >= Number(thisYear)} onClick=${() => setYear(year + 1)}>›</button>
    </div>
    <p class="small"><a href=${routeTo(["payments"], { ...activeFilters(query), from: "", to: "" })} aria-current=${query.from || query.to ? undefined : "true"}>All dates</a></p>
    ${error && html`<${ErrorMessage} error=${error} retry=${reload} />`}
    ${!response && !error && html`<${Loading} text="Counting" />`}
    ${
      response &&
      html`<ul>${[...response.counts].reverse().map(
        ({ period, payments }) => html`<li key=${period}>
      <${PeriodLink} query=${query} name=${monthName(period)} from=${`${period}-01`} to=${lastDay(period)} count=${payments} />
      ${isWithinMonth && period === selectedMonth && html`<${Days} query=${query} month=${period} />`}
    </li>`,
      )}</ul>`
    }
    ${response && !response.counts.length && html`<p class="small">No payments in ${year}.</p>`}
  </details></aside>`;
}

function Days({ query, month }) {
  const { response, error, reload } = useResponse(() => loadCounts({ month }), [month]);
  if (error) return html`<${ErrorMessage} error=${error} retry=${reload} />`;
  if (!response) return html`<${Loading} text="Counting" />`;
  return html`<ul class="days" aria-label=${`Days of ${monthName(month)}`}>${[...response.counts].reverse().map(
    ({ period: date, payments }) => html`<li key=${date}>
    <${PeriodLink} query=${query} name=${`${weekday(date)} ${Number(date.slice(8))}`} from=${date} to=${date} count=${payments} />
  </li>`,
  )}</ul>`;
}

function PeriodLink({ query, name, from, to, count }) {
  const isCurrent = query.from === from && query.to === to;
  return html`<a href=${routeTo(["payments"], { ...activeFilters(query), from, to })} aria-current=${isCurrent ? "true" : undefined}><span>${name}</span><span class="number">${count}</span></a>`;
}
