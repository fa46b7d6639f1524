// The meaning of a payment plan for its student: the one place that turns it into words, and says what is due.
import { calendarDay, money } from "../shared/format.js";
import { texts } from "./text.js";

const words = texts.plan_state;

const HELD = ["ACTIVE", "LATE", "SUSPENDED", "PAUSED", "COMPLETE"];

/** The sentences that there are, in one line; undefined without any. */
export const joined = (...sentences) => sentences.filter(Boolean).join(" ") || undefined;

/** Whether the plan keeps its student from buying the same again: it is open, runs, or its rest can still be paid. */
export const isCurrent = ({ status, payable }) =>
  ["OPEN", "ACTIVE", "LATE", "SUSPENDED", "PAUSED"].includes(status) || payable;

export const isProcessing = ({ schedule }) => schedule.some(({ state }) => state === "processing");

const isWaived = ({ schedule }) => schedule.some(({ state }) => state === "waived");

/** Whether staff have ended the access, so that no payment gives access. */
export const isRevoked = ({ stopped_by: stop }) => stop === "revoked_access";

/** The payment that the student should make now: `{what, amount}`; undefined if nothing is due. */
export function duePayment({ status, payable, due, next, rest, ...plan }) {
  if (!payable || isRevoked(plan)) return undefined;
  if (due) return { what: "due", amount: due.amount };
  if (status === "CLOSED" && rest) return { what: "rest", amount: rest.amount };
  return ["LATE", "SUSPENDED"].includes(status) && next ? { what: "next", amount: next.amount } : undefined;
}

/**
 * `{chip: [kind, icon, text], sentence}` of a plan: its state, and what its student must know about it. The sentence of a
 * plan that is suspended or due says how to continue.
 */
export function describePlan(plan) {
  const { status, currency, next, cancel_at: endsOn, access_until: accessUntil, close_reason: reason } = plan;
  const ends = plan.closes_on && words.closes_on(calendarDay(plan.closes_on));
  const due = duePayment(plan);
  const amount = due && money(due.amount, currency);
  const processing = isProcessing(plan) && words.processing_why;
  const stopped = words.stopped_by[plan.stopped_by];
  if (isRevoked(plan) && HELD.includes(status)) return { chip: ["bad", "lock", words.revoked], sentence: stopped };
  switch (status) {
    case "OPEN":
      return processing
        ? { chip: ["", "hourglass", words.processing], sentence: processing }
        : { chip: ["", "clock", words.open], sentence: words.open_why };
    case "ACTIVE":
      if (endsOn) return { chip: ["", "clock", words.ending], sentence: words.ends_on(calendarDay(endsOn)) };
      return { chip: ["good", "check", words.active], sentence: joined(processing, stopped ?? nextCharge(next, currency)) };
    case "LATE": {
      if (processing) return { chip: ["", "hourglass", words.processing], sentence: processing };
      const keep = accessUntil && words.keep_access(calendarDay(accessUntil));
      const is = amount && words.is_due(amount);
      return { chip: ["bad", "alert", words.late], sentence: joined(is, stopped ?? needsYou(next), keep) };
    }
    case "SUSPENDED":
      if (processing) return { chip: ["bad", "lock", words.suspended], sentence: joined(words.suspended_why, processing) };
      if (plan.schedule.some(({ state }) => state === "lost"))
        return {
          chip: ["bad", "lock", words.suspended],
          sentence: joined(words.lost_why, words.suspended_why, amount && words.pay_to_continue(amount)),
        };
      return { chip: ["bad", "lock", words.suspended], sentence: joined(words.suspended_why, amount && words.pay_to_continue(amount), ends) };
    case "PAUSED":
      return { chip: ["", "clock", words.paused], sentence: joined(words.paused_why, !plan.grants_access && words.suspended_why) };
    case "COMPLETE":
      return { chip: ["good", "check", isWaived(plan) ? words.nothing_left : words.complete], sentence: undefined };
    case "CLOSED":
      return { chip: ["", "close", words.closed], sentence: joined(words.closed_why[reason], due && words.pay_to_continue(amount)) };
    case "REFUNDED":
      return { chip: ["", "back", words.refunded], sentence: words.refunded_why };
    default:
      return { chip: ["", "close", words.abandoned], sentence: words.abandoned_why };
  }
}

/** The next charge in words, or why only the student can go on; undefined if nothing is left to pay. */
function nextCharge(next, currency) {
  if (!next?.due) return undefined;
  return needsYou(next) ?? words.next_charge(money(next.amount, currency), calendarDay(next.due));
}

const needsYou = (next) => words.needs_you[next?.needs_you];
