// Going down by date: the months of a year, the days of a month, with how many payments were begun in each.
import { read, useAnswer } from "./api.js";
import { html, useEffect, useState } from "./html.js";
import { Trouble, Waiting } from "./parts.js";
import { filters } from "./payments.js";
import { to } from "./place.js";

const FIRST_YEAR = 2020;
const TURNS = 30;
const month = (period, style = "long") =>
  new Intl.DateTimeFormat("en-GB", { month: style, timeZone: "UTC" }).format(new Date(`${period}-01T00:00:00Z`));
const weekday = (period) =>
  new Intl.DateTimeFormat("en-GB", { weekday: "short", timeZone: "UTC" }).format(new Date(`${period}T00:00:00Z`));
const last = (period) =>
  new Date(Date.UTC(Number(period.slice(0, 4)), Number(period.slice(5)), 0)).toISOString().slice(0, 10);

/** Counts by period; where there is more to count than one answer reads, it is asked to go on. */
async function counts(asked) {
  for (let turn = 1; ; turn += 1) {
    const found = await read("/admin/counts/", asked);
    if (found.complete || turn === TURNS) return found;
  }
}

export function Months({ query }) {
  const now = new Date().toISOString().slice(0, 4);
  const [shown = ""] = /^\d{4}-\d\d(?=-\d\d$)/.exec(query.from || query.to) ?? [];
  const whole = query.from && query.to && query.from.slice(0, 7) === query.to.slice(0, 7);
  const [year, setYear] = useState(Number(shown.slice(0, 4) || now));
  useEffect(() => {
    if (shown) setYear(Number(shown.slice(0, 4)));
  }, [shown]);
  const found = useAnswer(() => counts({ year }), [year]);
  return html`<aside class="months" aria-label="By date">
    <div class="year">
      <button type="button" class="quiet" aria-label="The year before" disabled=${year <= FIRST_YEAR} onClick=${() => setYear(year - 1)}>‹</button>
      <h2>${year}</h2>
      <button type="button" class="quiet" aria-label="The year after" disabled=${year >= Number(now)} onClick=${() => setYear(year + 1)}>›</button>
    </div>
    <p class="small"><a href=${to(["payments"], { ...filters(query), from: "", to: "" })} aria-current=${query.from || query.to ? undefined : "true"}>All dates</a></p>
    ${found.error && html`<${Trouble} error=${found.error} again=${found.again} />`}
    ${!found.answer && !found.error && html`<${Waiting} what="Counting" />`}
    ${
      found.answer &&
      html`<ul>${[...found.answer.counts].reverse().map(
        ({ period, payments }) => html`<li key=${period}>
      <${Period} query=${query} name=${month(period)} from=${`${period}-01`} to=${last(period)} count=${payments} />
      ${whole && period === shown && html`<${Days} query=${query} period=${period} />`}
    </li>`,
      )}</ul>`
    }
    ${found.answer && !found.answer.counts.length && html`<p class="small">No payment in ${year}.</p>`}
  </aside>`;
}

function Days({ query, period }) {
  const found = useAnswer(() => counts({ month: period }), [period]);
  if (found.error) return html`<${Trouble} error=${found.error} again=${found.again} />`;
  if (!found.answer) return html`<${Waiting} what="Counting" />`;
  return html`<ul class="days" aria-label=${`Days of ${month(period)}`}>${[...found.answer.counts].reverse().map(
    ({ period: day, payments }) => html`<li key=${day}>
    <${Period} query=${query} name=${`${weekday(day)} ${Number(day.slice(8))}`} from=${day} to=${day} count=${payments} />
  </li>`,
  )}</ul>`;
}

function Period({ query, name, from, to: until, count }) {
  const here = query.from === from && query.to === until;
  return html`<a href=${to(["payments"], { ...filters(query), from, to: until })} aria-current=${here ? "true" : undefined}><span>${name}</span><span class="number">${count}</span></a>`;
}
