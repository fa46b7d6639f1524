// The meaning of a payment and its enrollment for the student: the one place that turns them into words and actions.
import { day, money } from "../shared/format.js";
import { isOpen } from "./api.js";
import { canWithdraw } from "./withdrawal.js";

const PROCESSING =
  "Your bank is processing your payment. This usually takes up to four business days. Please don’t pay again.";
const REFUND_TIME = "It usually appears on your statement within 5–10 days.";

/**
 * Why a paid payment gives no access. `enroll` says whether enrolling again would help: never after a decision of the
 * school, and never while we hold money that gives no access.
 */
const NO_ACCESS = {
  revoked: {
    chip: ["bad", "lock", "Access ended"],
    sentence: "The school has ended the access from this payment. Contact us if you think this is a mistake.",
  },
  dispute_lost: {
    chip: ["bad", "alert", "Charged back"],
    sentence: "Your bank took this payment back, so it no longer gives you access.",
    enroll: true,
  },
  refunded: {
    chip: ["", "back", "Refunded"],
    sentence: "Your payment was refunded, so your access has ended. Your progress is saved in case you come back.",
    enroll: true,
  },
  withdrawn: {
    chip: ["", "back", "Withdrawn"],
    sentence: "You withdrew from this contract, so your access has ended. Your progress is saved in case you come back.",
    enroll: true,
  },
  amount_differs: {
    chip: ["bad", "alert", "Under review"],
    sentence:
      "We received your payment, but the amount differs from the price. The school is reviewing it and will contact " +
      "you. Please don’t pay again.",
  },
};

const NO_LONGER_SOLD = "We no longer sell this track. Contact us if you have questions.";
const BUYING = ["view", "complete", "enroll"];

const joined = (...sentences) => sentences.filter(Boolean).join(" ") || undefined;

/** The chip of a payment, and what the student must know about it: in the list of payments, or about the enrollment. */
function describePayment(payment, inList) {
  const { status, failure, currency, no_access_reason: reason, refund_pending_amount: pending } = payment;
  if (payment.verify_by) return { chip: ["", "clock", "Confirm your bank account"], sentence: verifyText(payment) };
  if (status === "CREATED") return { chip: ["", "clock", "Not paid yet"] };
  if (status === "PROCESSING") return { chip: ["", "clock", "Processing"], sentence: PROCESSING };
  if (status === "FAILED") return { chip: ["bad", "alert", "Failed"], sentence: failure?.message };
  if (status === "CANCELED")
    return { chip: ["", "clock", "Expired"], sentence: failure && `The last attempt failed: ${failure.message}` };
  // A later payment may give access again, so a payment that ended like this says nothing about access in the list.
  const why = inList && ["refunded", "withdrawn"].includes(reason) ? undefined : NO_ACCESS[reason]?.sentence;
  if (payment.dispute === "open") {
    const dispute = "Your bank has opened a dispute about this payment, so it can’t be refunded until the bank decides.";
    return { chip: ["bad", "alert", "Disputed"], sentence: joined(dispute, why ?? "You keep your access until then.") };
  }
  const underWay = pending > 0 && `Your refund of ${money(pending, currency)} is being processed. ${REFUND_TIME}`;
  if (status === "REFUNDED" && underWay)
    return { chip: ["", "clock", "Refund in progress"], sentence: joined(underWay, why) };
  if (reason) {
    const { chip } = NO_ACCESS[status === "REFUNDED" ? "refunded" : reason];
    return { chip, sentence: joined(underWay, why) };
  }
  return { chip: ["good", "check", "Paid"], sentence: underWay || refundPromise(payment) };
}

function refundPromise(payment) {
  const { can_request_refund: canRequest, refundable_until: until, withdrawal } = payment;
  if (canWithdraw(payment)) return `You can withdraw from this contract until ${day(withdrawal.possible_until)}.`;
  if (!canRequest || !until || new Date(until) < Date.now()) return undefined;
  return `You can get a refund without approval until ${day(until)}, unless we refunded this track to you before.`;
}

/** The actions that a payment allows: `view` one under way, `complete` an unpaid one, `withdraw`, request a `refund`. */
function paymentActions(payment, blocked) {
  if (payment.status === "PROCESSING" || payment.verify_by) return canWithdraw(payment) ? ["view", "withdraw"] : ["view"];
  if (isOpen(payment)) return blocked ? [] : ["complete"];
  if (canWithdraw(payment)) return ["withdraw"];
  return payment.can_request_refund ? ["refund"] : [];
}

/**
 * `{ chip: [kind, icon, text], sentence, actions }` of a `payment`, or of a track: with the student's `enrollment` in
 * it, or with neither if they never bought it. `blocked` is why the student may not buy at all, if they may not. A track
 * has the actions `learn` and `enroll` too. There is no chip for a track that was never bought. A track that is no longer
 * `sold` has no actions that lead to its page.
 */
export function describe({ sold = true, ...about }) {
  const { chip, sentence, actions } = describeSold(about);
  if (sold) return { chip, sentence, actions };
  const isWaiting = actions.includes("complete");
  const isHeld = about.payment || about.enrollment?.status === "ENROLLED";
  return {
    chip,
    sentence: isHeld ? sentence : joined(!isWaiting && sentence, NO_LONGER_SOLD),
    actions: actions.filter((each) => !BUYING.includes(each)),
  };
}

function describeSold({ payment, enrollment, blocked }) {
  if (payment) return { ...describePayment(payment, true), actions: paymentActions(payment) };
  const current = enrollment?.payment;
  const about = current ? describePayment(current, false) : {};
  const actions = current ? paymentActions(current, blocked) : [];
  if (enrollment?.status === "ENROLLED") {
    const sentence = current?.dispute === "open" ? about.sentence : undefined;
    return { chip: ["good", "check", "Enrolled"], sentence, actions: ["learn", ...actions] };
  }
  if (current && isOpen(current)) {
    const unlock = "Your projects unlock as soon as your payment is complete.";
    const sentence = actions.includes("view") ? about.sentence : (blocked ?? joined(about.sentence, unlock));
    const text = actions.includes("view") ? "Payment processing" : "Waiting for payment";
    return { chip: current.verify_by ? about.chip : ["", "clock", text], sentence, actions };
  }
  const mayEnroll = !current || NO_ACCESS[current.no_access_reason]?.enroll;
  const sentence = joined(about.sentence, mayEnroll && blocked);
  const chip = current?.no_access_reason === "amount_differs" ? about.chip : ["", "lock", "No longer enrolled"];
  return { chip: enrollment && chip, sentence, actions: mayEnroll && !blocked ? [...actions, "enroll"] : actions };
}
