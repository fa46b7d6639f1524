// The charts of the overview: what each shows, and the finding that its caption states.
import { decimal, money, sentenceCase } from "../shared/format.js";
import { Chart } from "./chart.js";
import { html } from "./preact.js";

const MAX_PERIODS = 366;

export const sum = (rows, name) => rows.reduce((total, row) => total + row[name], 0);
export const whole = (number) => new Intl.NumberFormat("en").format(number);

/** A share in whole percent. It is 0 or 100 only if it is nothing or everything. */
export function percent(part, all) {
  if (!all) return "–";
  const rounded = Math.round((100 * part) / all);
  if (rounded === 100 && part < all) return "> 99 %";
  return rounded === 0 && part > 0 ? "< 1 %" : `${rounded} %`;
}

/** A number as people and as spreadsheets read it. */
const count = (number) => ({ text: whole(number), csv: number });
const amount = (number, currency) => ({ text: money(number, currency), csv: decimal(number, currency).replace("−", "-") });
const largest = (rows) => rows.reduce((best, row) => (row.value > best.value ? row : best));

/** Every day or month of a range, so that one without payments has its place in the chart. */
function periodsOf({ from, to }, by) {
  if (by === "month") {
    const months = [];
    for (let month = from.slice(0, 7); month <= to.slice(0, 7) && months.length < MAX_PERIODS; ) {
      months.push(month);
      const [year, number] = month.split("-").map(Number);
      month = new Date(Date.UTC(year, number)).toISOString().slice(0, 7);
    }
    return months;
  }
  const days = [];
  for (let at = new Date(`${from}T00:00:00Z`); days.length < MAX_PERIODS; at.setUTCDate(at.getUTCDate() + 1)) {
    const day = at.toISOString().slice(0, 10);
    if (day > to) break;
    days.push(day);
  }
  return days;
}

/** `2026-11-24` is `24 Nov`, `2026-11` is `Nov 2026`. */
const periodName = (period) =>
  new Intl.DateTimeFormat("en-GB", {
    ...(period.length > 7 ? { day: "numeric" } : { year: "numeric" }),
    month: "short",
    timeZone: "UTC",
  }).format(new Date(period));

/** A row for each period of a range. `toRow` makes it of the figures in a currency, or of undefined without any. */
function rowsOf({ periods, range }, currency, by, toRow) {
  const own = new Map(periods.filter((one) => one.currency === currency).map((one) => [one.period, one]));
  return periodsOf(range, by).map((period) => ({
    label: period,
    short: periodName(period),
    ...toRow(own.get(period)),
  }));
}

const inPeriod = (row, by) => `${by === "day" ? "on" : "in"} ${row.short}`;

export function Periods({ id, total, figures, by }) {
  const { currency } = total;
  const none = { settled: 0, refunded: 0, lost: 0, fees: 0, net: 0 };
  const rows = rowsOf(figures, currency, by, ({ net, settled, refunded, lost, fees } = none) => {
    const cells = [net, settled, refunded, lost, fees].map((one) => amount(one, currency));
    return { value: net, cells };
  });
  const best = largest(rows);
  const most = rows.length > 1 && best.value > 0 ? ` The most was ${best.cells[0].text}, ${inPeriod(best, by)}.` : "";
  const finding = `Net is ${money(total.net, currency)} in total.${most}`;
  return html`<${Chart} id=${id} title=${`Net by ${by}`} rows=${rows} finding=${finding} columns=${[
    by === "day" ? "Day" : "Month",
    ...["Net", "Gross", "Refunds", "Lost", "Fees"].map((name) => `${name} (${currency.toUpperCase()})`),
  ]} />`;
}

export function Tracks({ id, outcomes, currency }) {
  const tracks = [...new Set(outcomes.map(({ track }) => track))];
  if (tracks.length === 0) return null;
  const rows = tracks.map((track) => {
    const own = outcomes.filter((one) => one.track === track);
    const settled = sum(own, "settled");
    const rate = percent(sum(own, "paid"), sum(own, "payments"));
    const cells = [amount(settled, currency), count(sum(own, "settlements")), rate, count(sum(own, "recovered"))];
    return { label: track, value: settled, cells };
  });
  const best = largest(rows);
  let finding = `${best.label} received the most: ${best.cells[0].text} of ${money(sum(rows, "value"), currency)}.`;
  if (best.value <= 0) finding = "No track has received money.";
  else if (rows.length === 1) finding = `All of it, ${best.cells[0].text}, was received for ${best.label}.`;
  return html`<${Chart} id=${id} title="Gross by track" rows=${rows} finding=${finding} isList
    columns=${["Track", `Gross (${currency.toUpperCase()})`, "Settled payments", "Success rate", "After a failure"]} />`;
}

const PLAN_CHANGES = ["started", "suspended", "restored", "completed", "closed", "refunded", "abandoned"];
const SHOWN_CHANGES = ["started", "suspended", "completed"];
const OTHER_CHANGES = ["restored", "closed", "refunded", "abandoned"];

/** The money of payment plans, and how many started, lost access, got it back, and ended. */
export function Plans({ id, plans, currency }) {
  if (plans.length === 0) return null;
  const rows = plans.map((one) => ({
    label: `${one.track}, ${one.kind}`,
    value: one.settled,
    cells: [amount(one.settled, currency), count(one.settlements), ...PLAN_CHANGES.map((name) => count(one[name]))],
  }));
  const [suspended, restored] = [sum(plans, "suspended"), sum(plans, "restored")];
  const access = suspended || restored ? ` Access was suspended ${times(suspended)} and restored ${times(restored)}.` : "";
  return html`<${Chart} id=${id} title="Payment plans" rows=${rows} isList
    finding=${`Plans received ${money(sum(plans, "settled"), currency)} in ${whole(sum(plans, "settlements"))} payments; ${whole(sum(plans, "started"))} started.${access}`}
    columns=${["For", `Gross (${currency.toUpperCase()})`, "Payments", ...PLAN_CHANGES.map(sentenceCase)]} />`;
}

/** How many plans started, were suspended and were completed in each period. The table has all changes. */
export function PlanPeriods({ id, total, figures, by }) {
  const { currency, plans } = total;
  if (!Object.values(plans).some(Boolean)) return null;
  const none = Object.fromEntries(Object.keys(plans).map((name) => [name, 0]));
  const rows = rowsOf(figures, currency, by, ({ plans: own } = { plans: none }) => {
    const values = SHOWN_CHANGES.map((name) => own[name]);
    const others = [...OTHER_CHANGES, "settlements"].map((name) => own[name]);
    return { value: own.started, values, cells: [...[...values, ...others].map(count), amount(own.settled, currency)] };
  });
  const { started, suspended, completed } = plans;
  const best = largest(rows);
  const parts = [
    `${started === 0 ? "No plan" : plansOf(started)} started`,
    suspended && `access was suspended ${times(suspended)}`,
    completed && `${plansOf(completed)} ${completed === 1 ? "was" : "were"} completed`,
  ];
  const most = rows.length > 1 && started > 1 ? ` The most started ${inPeriod(best, by)}: ${whole(best.value)}.` : "";
  return html`<${Chart} id=${id} title=${`Plans by ${by}`} rows=${rows} series=${SHOWN_CHANGES.map(sentenceCase)}
    finding=${`${new Intl.ListFormat("en").format(parts.filter(Boolean))}.${most}`}
    columns=${[by === "day" ? "Day" : "Month", ...[...SHOWN_CHANGES, ...OTHER_CHANGES].map(sentenceCase), "Payments", `Gross (${currency.toUpperCase()})`]} />`;
}

const plansOf = (number) => `${whole(number)} ${number === 1 ? "plan" : "plans"}`;
const times = (number) => (number === 1 ? "once" : number === 0 ? "never" : `${whole(number)} times`);

export function Failures({ id, failures }) {
  const rows = Object.entries(failures).map(([code, number]) => ({
    label: sentenceCase(code),
    value: number,
    cells: [count(number)],
  }));
  if (rows.length === 0) return null;
  rows.sort((one, other) => other.value - one.value);
  return html`<${Chart} id=${id} title="Failed charges by reason" rows=${rows} columns=${["Reason", "Charges"]} isList
    finding=${`The most frequent reason is “${rows[0].label}”: ${rows[0].cells[0].text} of ${whole(sum(rows, "value"))}.`} />`;
}

export function Codes({ codes, complete }) {
  if (codes.length === 0) return null;
  const rows = codes.map(({ code, currency, uses, discount }) => ({
    label: `${code} (${currency.toUpperCase()})`,
    value: uses,
    cells: [count(uses), amount(discount, currency)],
  }));
  const times = rows[0].value === 1 ? "once" : `${rows[0].cells[0].text} times`;
  const rest = complete ? "" : " There are more codes: choose a shorter range.";
  return html`<${Chart} id="codes" title="Promotion codes" rows=${rows} columns=${["Code", "Uses", "Discount"]} isList
    finding=${`${rows[0].label} was used most: ${times}.${rest}`} />`;
}

export function Cohorts({ cohorts }) {
  if (cohorts.length === 0) return null;
  const rows = cohorts.map(({ month, track, enrolled, refunded }) => ({
    label: `${month} ${track}`,
    value: enrolled,
    cells: [count(enrolled), count(refunded), percent(refunded, enrolled)],
  }));
  const [enrolled, refunded] = [sum(cohorts, "enrolled"), sum(cohorts, "refunded")];
  return html`<${Chart} id="cohorts" title="Students by month of purchase" rows=${rows} isList
    finding=${`${whole(enrolled)} enrolled. Of their purchases, ${whole(refunded)} (${percent(refunded, enrolled)}) are refunded.`}
    columns=${["Month and track", "Enrolled", "Refunded", "Share"]} />`;
}
