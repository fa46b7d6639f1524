// The schedule of a payment plan: a strip of its installments, each with its date, amount and state.
import { h, icon } from "../shared/dom.js";
import { calendarDay, dayIn, money } from "../shared/format.js";
import { texts } from "./text.js";

const words = texts.plan_schedule;
const MONTHS = { month: 1, year: 12 };
const DAYS = { week: 7, "2 weeks": 14 };
const SHOWN_OF_ENDLESS = 2;

/** The kind and the drawing of a state. */
const STATES = {
  paid: ["good", "check"],
  processing: ["", "hourglass"],
  due: ["bad", "alert"],
  failed: ["bad", "alert"],
  upcoming: ["", "clock"],
  waived: ["", "close"],
  lost: ["bad", "back"],
};

const iso = (year, month, day) => new Date(Date.UTC(year, month, day)).toISOString().slice(0, 10);

/** The day on which payment `index` (from 0) is due if the first is paid `today`: on 31 January, the next on 28 February. */
function expectedDay(today, every, index) {
  const [year, month, day] = today.split("-").map((part, place) => (place === 1 ? part - 1 : Number(part)));
  if (DAYS[every]) return iso(year, month, day + index * DAYS[every]);
  const target = month + index * MONTHS[every];
  const lastDay = new Date(Date.UTC(year, target + 1, 0)).getUTCDate();
  return iso(year, target, Math.min(day, lastDay));
}

/** The installments of an offer if the first is paid today in the school's time zone; of a membership the first two. */
export function expectedSchedule({ amounts, every, kind }, timeZone) {
  const today = dayIn(timeZone, Date.now());
  const all = kind === "membership" ? Array(SHOWN_OF_ENDLESS).fill(amounts[0]) : amounts;
  return all.map((amount, index) => ({ seq: index + 1, due: expectedDay(today, every, index), amount }));
}

/** The strip. `count` is how many installments there are, undefined for a membership. An expected one has no state. */
export function scheduleStrip(installments, currency, count) {
  const items = installments.map(({ seq, due, collect, amount, state }) => {
    const [kind, drawing] = STATES[state] ?? [];
    const date = state === "upcoming" ? (collect ?? due) : due;
    const undated = seq > 1 ? words.no_date : state !== "processing" && words.first_date;
    return h(
      "li",
      { class: state },
      h("span", { class: "small" }, count ? words.number(seq, count) : words.period(seq)),
      h("span", { class: "strong" }, money(amount, currency)),
      (date || undated) && h("span", { class: "small" }, date ? h("time", { datetime: date }, calendarDay(date)) : undated),
      state && h("span", { class: `chip ${kind}` }, icon(drawing), words.states[state]),
    );
  });
  return h("ol", { class: "strip", "aria-label": words.name }, items);
}

/** The second and later payments of an offer in words: `3 more payments of $124.75, one every month`. */
export function laterPayments({ amounts, every, kind, currency }) {
  if (kind === "membership") return words.until_canceled[every](money(amounts[0], currency));
  const often = words.every[every];
  const [, ...later] = amounts;
  const same = later.every((amount) => amount === later[0]);
  if (same) return words.later_same(later.length, money(later[0], currency), often);
  return words.later(later.map((amount) => money(amount, currency)).join(", "), often);
}
