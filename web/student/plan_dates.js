// The dates ahead of a payment plan, and the money and access that depend on them.
import { h } from "../shared/dom.js";
import { calendarDay, dayIn, methodName, money } from "../shared/format.js";
import { isCurrent, isRevoked } from "./plan_state.js";
import { contactLink } from "./school_links.js";
import { texts } from "./text.js";

const words = texts.plan_page;
const CHARGED = ["ACTIVE", "LATE"];

/** How many days after a charge it is tried again. A bank account is debited three times at most. */
function retryDays({ retry_days: days }, method) {
  const isCard = ["card", "link", undefined].includes(method?.type);
  return days.slice(1, isCard ? undefined : 3);
}

/** The dates ahead: the charge with its announcement, what follows if it fails, and how the plan ends. */
export function datesAhead(plan, catalog, methods) {
  const { status, next, currency, total, cancel_at: endsOn, payment_method: method, rules, stopped_by: stop } = plan;
  const isEndless = total === null;
  const lines = [];
  if (isRevoked(plan) || !isCurrent(plan)) return undefined;
  if (CHARGED.includes(status) && next?.due && stop && !endsOn) lines.push(words.no_charge);
  if (CHARGED.includes(status) && next?.due && !stop) {
    const kept = methods.find(({ id }) => id === method?.id) ?? method;
    const how = kept?.type ? words.charge_to(methodName(kept)) : words.charge;
    if (status === "ACTIVE" && !next.needs_you) lines.push(words.notice(rules.notice_days));
    const on = dayOfCharge(plan, catalog.school_time_zone);
    lines.push(on ? how(money(next.amount, currency), calendarDay(on)) : words.no_charge);
    if (on && status === "ACTIVE") lines.push(words.retries(retryDays(rules, method)));
    if (!plan.access_until) lines.push(isEndless ? words.grace_membership(rules.grace_days) : words.grace(rules.grace_days));
    if (!isEndless && !plan.closes_on) lines.push(words.give_up(rules.give_up_days));
  }
  if (plan.access_until && !endsOn) {
    const day = calendarDay(plan.access_until);
    lines.push(isEndless ? words.membership_until(day) : words.access_until(day));
  }
  if (endsOn) lines.push(words.ends(calendarDay(endsOn)));
  if (status === "SUSPENDED") lines.push(words.suspended);
  if (plan.closes_on && !endsOn) lines.push(words.closes_on(calendarDay(plan.closes_on)));
  if (!lines.length) return undefined;
  return h(
    "section",
    { class: "panel", "aria-labelledby": "ahead" },
    h("h2", { id: "ahead" }, words.ahead),
    h("ol", { class: "ahead" }, lines.map((line) => h("li", {}, line))),
    catalog.support_contact && h("p", { class: "small" }, ...words.questions(contactLink(catalog.support_contact))),
  );
}

/** The school's day of the next charge; undefined if there is none without the student. */
function dayOfCharge({ status, next: { attempt_at: at, due, needs_you: isStopped } }, timeZone) {
  if (isStopped) return undefined;
  if (at) return dayIn(timeZone, at);
  return status === "ACTIVE" ? due : undefined;
}
