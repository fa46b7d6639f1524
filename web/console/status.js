// Names and colors of the states that the API reports.
import { sentenceCase } from "../shared/format.js";

const PAYMENT_STATUSES = {
  CREATED: ["Incomplete", "busy"],
  PROCESSING: ["Processing", "busy"],
  SUCCEEDED: ["Paid", "good"],
  FAILED: ["Failed", "bad"],
  CANCELED: ["Canceled", ""],
  REFUNDED: ["Refunded", "info"],
};

/** `[name, color]` of a payment's status; a paid payment of which a part was refunded has a name of its own. */
export function paymentStatus(status, refunded = 0) {
  if (status === "SUCCEEDED" && refunded > 0) return ["Partially refunded", "good"];
  return PAYMENT_STATUSES[status] ?? [status, ""];
}

/** `[name, color]` of what a payment is to staff: a dispute or a refund under way says more than its status. */
export function paymentState({ status, refund_amount: refunded, refund_pending_amount: pending, dispute }) {
  if (dispute === "open") return ["Disputed", "warn"];
  if (dispute === "lost") return ["Dispute lost", "bad"];
  return pending > 0 ? ["Refund pending", "busy"] : paymentStatus(status, refunded);
}

/** `[code, name]` of the payment methods and card brands to filter by. */
export const methods = [
  ["card", "Card"],
  ["us_bank_account", "US bank account"],
  ["link", "Link"],
  ["visa", "Visa"],
  ["mastercard", "Mastercard"],
  ["amex", "American Express"],
  ["discover", "Discover"],
];

/** `[code, name]` of the usual reasons of failures: https://docs.stripe.com/declines/codes */
export const failureCodes = [
  "insufficient_funds",
  "generic_decline",
  "card_declined",
  "do_not_honor",
  "expired_card",
  "incorrect_cvc",
  "incorrect_number",
  "lost_card",
  "stolen_card",
  "fraudulent",
  "processing_error",
  "authentication_required",
  "payment_intent_authentication_failure",
  "debit_not_authorized",
  "payment_failed",
].map((code) => [code, sentenceCase(code)]);

const ENROLLMENT_STATUSES = {
  ENROLLED: ["Enrolled", "good"],
  PENDING: ["Waiting for payment", ""],
  SUSPENDED: ["Suspended", "warn"],
  WITHDRAWN: ["Withdrawn", ""],
};

/** `[name, color]` of an enrollment's status. */
export const enrollmentStatus = (status) => ENROLLMENT_STATUSES[status] ?? [status, ""];

const PLAN_STATUSES = {
  OPEN: ["Not begun", "busy"],
  ACTIVE: ["Active", "good"],
  LATE: ["Late", "warn"],
  SUSPENDED: ["Suspended", "bad"],
  PAUSED: ["Paused", "busy"],
  COMPLETE: ["Complete", "good"],
  CLOSED: ["Closed", ""],
  REFUNDED: ["Refunded", "info"],
  ABANDONED: ["Abandoned", ""],
};

/** `[status, name]` of each status of a plan, for a list to choose from. */
export const planStatuses = Object.entries(PLAN_STATUSES).map(([status, [name]]) => [status, name]);

/** `[name, color]` of a plan's status. */
export const planStatus = (status) => PLAN_STATUSES[status] ?? [status, ""];

const INSTALLMENT_STATES = {
  paid: ["Paid", "good"],
  processing: ["Processing", "busy"],
  due: ["Due", "warn"],
  failed: ["Charge failed", "bad"],
  upcoming: ["Upcoming", ""],
  waived: ["Waived", "info"],
  lost: ["Lost to a dispute", "bad"],
};

/** `[name, color]` of an installment's state. */
export const installmentState = (state) => INSTALLMENT_STATES[state] ?? [state, ""];

const REFUND_STATES = {
  awaiting_approval: ["Awaiting approval", "warn"],
  declined: ["Declined", ""],
  submitting: ["Submitting", "busy"],
  pending: ["Pending", "busy"],
  succeeded: ["Succeeded", "good"],
  rejected: ["Rejected by Stripe", "bad"],
  failed: ["Failed", "bad"],
  superseded: ["Superseded", ""],
  withdrawn: ["Withdrawn by the student", ""],
};

/** `[state, name]` of each state of a refund request, for a list to choose from. */
export const refundStates = Object.entries(REFUND_STATES).map(([state, [name]]) => [state, name]);

/** `[name, color]` of a refund request's state. */
export const refundState = (state) => REFUND_STATES[state] ?? [sentenceCase(state), ""];
export const refundStateName = (state) => refundState(state)[0];
