// The meaning of a payment and its enrollment for the student: the one place that turns them into words and actions.
import { day, moment, money } from "../shared/format.js";
import { isOpen } from "./api.js";
import { describePlan } from "./plan_state.js";
import { texts } from "./text.js";

const words = texts.payment_state;

/** Whether the student can withdraw from the contract of a payment now. */
export const canWithdraw = ({ withdrawal }) =>
  Boolean(withdrawal?.possible_until) && new Date(withdrawal.possible_until) > Date.now();

/**
 * Why a paid payment gives no access. `enroll` says whether enrolling again would help: never after a decision of the
 * school, and never while we hold money that gives no access.
 */
const NO_ACCESS = {
  revoked: { chip: ["bad", "lock", words.revoked], sentence: words.revoked_why },
  dispute_lost: { chip: ["bad", "alert", words.dispute_lost], sentence: words.dispute_lost_why, enroll: true },
  refunded: { chip: ["", "back", words.refunded], sentence: words.refunded_why, enroll: true },
  withdrawn: { chip: ["", "back", words.withdrawn], sentence: words.withdrawn_why, enroll: true },
  amount_differs: { chip: ["bad", "alert", words.amount_differs], sentence: words.amount_differs_why },
};

const BUYING = ["view", "complete", "enroll"];

const joined = (...sentences) => sentences.filter(Boolean).join(" ") || undefined;

/** The chip of a payment, and what the student must know about it: in the list of payments, or about the enrollment. */
function describePayment(payment, inList) {
  const { status, failure, currency, no_access_reason: reason, refund_pending_amount: pending } = payment;
  if (payment.verify_by) return { chip: ["", "clock", words.verify], sentence: words.verify_why(moment(payment.verify_by)) };
  if (status === "CREATED") return { chip: ["", "clock", words.unpaid] };
  if (status === "PROCESSING") return { chip: ["", "hourglass", words.processing], sentence: words.processing_why };
  if (status === "FAILED") return { chip: ["bad", "alert", words.failed], sentence: failure?.message };
  if (status === "CANCELED")
    return { chip: ["", "close", words.closed], sentence: failure && words.last_failure(failure.message) };
  // A later payment may give access again, so a payment that ended like this says nothing about access in the list.
  const why = inList && ["refunded", "withdrawn"].includes(reason) ? undefined : NO_ACCESS[reason]?.sentence;
  if (payment.dispute === "open") {
    const sentence = joined(words.disputed_why, why ?? words.disputed_access);
    return { chip: ["bad", "alert", words.disputed], sentence };
  }
  const underWay = pending > 0 && words.refund_pending_why(money(pending, currency));
  if (status === "REFUNDED" && underWay)
    return { chip: ["", "hourglass", words.refund_pending], sentence: joined(underWay, why) };
  if (reason) {
    const { chip } = NO_ACCESS[status === "REFUNDED" ? "refunded" : reason];
    return { chip, sentence: joined(underWay, why) };
  }
  return { chip: ["good", "check", words.paid], sentence: underWay || refundPromise(payment) };
}

function refundPromise(payment) {
  const { can_request_refund: canRequest, refundable_until: until, withdrawal } = payment;
  if (payment.plan_id) return undefined; // the money of a plan is refunded as a whole
  if (canWithdraw(payment)) return words.withdrawal_until(day(withdrawal.possible_until));
  if (!canRequest || !until || new Date(until) < Date.now()) return undefined;
  return words.refund_until(day(until));
}

/** The actions that a payment allows: `view` one under way, `complete` an unpaid one, `withdraw`, request a `refund`. */
function paymentActions(payment, blocked) {
  if (payment.plan_id) return []; // they are on the page of the plan
  if (payment.status === "PROCESSING" || payment.verify_by) return canWithdraw(payment) ? ["view", "withdraw"] : ["view"];
  if (isOpen(payment)) return blocked ? [] : ["complete"];
  if (canWithdraw(payment)) return ["withdraw"];
  return payment.can_request_refund ? ["refund"] : [];
}

/**
 * `{ chip: [kind, icon, text], sentence, actions }` of a `payment`, or of a track: with the student's `enrollment` in
 * it, or with neither if they never bought it. `blocked` is why the student may not buy at all, if they may not. A track
 * has the actions `learn` and `enroll` too, and `plan` if a payment plan decides about its access. There is no chip for a track that was never bought. A track that is no longer
 * `sold` has no actions that lead to its page.
 */
export function describe({ sold = true, ...about }) {
  const { chip, sentence, actions } = describeSold(about);
  if (sold) return { chip, sentence, actions };
  const isWaiting = actions.includes("complete");
  const isHeld = about.payment || about.enrollment?.status === "ENROLLED";
  return {
    chip,
    sentence: isHeld ? sentence : joined(!isWaiting && sentence, words.no_longer_sold),
    actions: actions.filter((each) => !BUYING.includes(each)),
  };
}

/** The same of an enrollment about which a payment plan decides. */
function describeByPlan({ status, plan }, blocked) {
  const { chip, sentence } = describePlan(plan);
  if (status === "ENROLLED") {
    const about = plan.status === "ACTIVE" ? undefined : sentence;
    return { chip: ["good", "check", words.enrolled], sentence: about, actions: ["learn", "plan"] };
  }
  if (plan.status === "OPEN") return { chip, sentence, actions: [plan.can_cancel && !blocked ? "complete" : "plan"] };
  if (plan.payable || status === "SUSPENDED") return { chip, sentence, actions: ["plan"] };
  return {
    chip: ["", "lock", words.not_enrolled],
    sentence: joined(sentence, blocked),
    actions: blocked ? [] : ["enroll"],
  };
}

function describeSold({ payment, enrollment, blocked }) {
  if (enrollment?.plan) return describeByPlan(enrollment, blocked);
  if (payment) return { ...describePayment(payment, true), actions: paymentActions(payment) };
  const current = enrollment?.payment;
  const about = current ? describePayment(current, false) : {};
  const actions = current ? paymentActions(current, blocked) : [];
  if (enrollment?.status === "ENROLLED") {
    const sentence = current?.dispute === "open" ? about.sentence : undefined;
    return { chip: ["good", "check", words.enrolled], sentence, actions: ["learn", ...actions] };
  }
  if (current && isOpen(current)) {
    const sentence = actions.includes("view") ? about.sentence : (blocked ?? joined(about.sentence, words.unlocks));
    const chip = actions.includes("view") ? ["", "hourglass", words.payment_processing] : ["", "clock", words.waiting];
    return { chip: current.verify_by ? about.chip : chip, sentence, actions };
  }
  const mayEnroll = !current || NO_ACCESS[current.no_access_reason]?.enroll;
  const sentence = joined(about.sentence, mayEnroll && blocked);
  const chip = current?.no_access_reason === "amount_differs" ? about.chip : ["", "lock", words.not_enrolled];
  return { chip: enrollment && chip, sentence, actions: mayEnroll && !blocked ? [...actions, "enroll"] : actions };
}
