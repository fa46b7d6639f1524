// Why a payment needs attention, in words: the kind of a reason, its detail, and the usual next step.

const OPEN_DISPUTE =
  "Send evidence by the due date, from the payment’s page or in Stripe. If the dispute is lost, the student loses access.";
const LOST_DISPUTE =
  "Nothing: the dispute is decided. The student lost access and may buy again only if staff allow it. Mark as resolved.";
const SUGGESTED_ACTIONS = {
  amount: "Refund the payment, or accept the amount: the student is then enrolled.",
  double: "Refund one of the two payments.",
  fraud_warning:
    "Talk to the student. Refund the payment before it is disputed, or revoke access.",
  refund_request: "Approve or decline the request.",
  withdrawal: "Refund the payment by this day. The student has withdrawn from the contract, so it cannot be declined.",
  refund: "The student is enrolled again, unless they have withdrawn. Refund another way, or try again.",
  credit_note: "Create the credit note in Stripe: link the refund that exists, and make no new one. Then mark as resolved.",
  claim: "Find out who created the other object, and refund it in Stripe.",
  gone: "Find out who deleted it in Stripe, or whether our key belongs to another account.",
  unknown: "Look at the object in Stripe, and tell a developer. The unknown value counts for nothing here.",
  books: "Compare the payment with Stripe’s balance transactions, then mark as resolved.",
  chain: "Someone may have changed our tables. Tell a developer, and keep the payment as it is.",
  unconfirmed: "Look at the payment in Stripe. If it was never paid, revoke access and find out who sent the event.",
  rebuilt: "Check for other missing records, then mark as resolved.",
  plan_missing: "Refund the payment, or agree with the student what they still owe. Tell a developer.",
};

const OF_PLANS = {
  double: "Refund one of the payments of this installment, on the payment’s page.",
  refund: "Decide: continue after the refund, or close the plan. If the student should owe nothing more, forgive the rest first.",
  money_due: "Refund it on the payment’s page, or another way. Then mark as resolved.",
  waived: "Refund it on the payment’s page, or keep it if the student agrees. Then mark as resolved.",
  held: "Refund it on the payment’s page once the bank can no longer return it: after 60 days in the US.",
  after_close: "Refund it on the payment’s page. Then mark as resolved.",
  gave_up: "Talk to the student, who can still pay. Else forgive the rest, or close the plan.",
  bounced: "Tell the student another way, and have them correct their address. The charge is made on its day.",
  rebuilt: "Check for other missing records, then mark as resolved.",
};

/** The usual next step for a plan’s attention reason. */
export const suggestedActionOfPlan = (reason) => OF_PLANS[kindOf(reason)] ?? "";

/** The kind of an attention reason: `dispute:du_1` is a `dispute`. */
export const kindOf = ({ name }) => name.split(":")[0];

/** The detail of an attention reason, with Stripe's codes in words. */
export const detailText = ({ detail }) => detail.replace(/([a-z])_([a-z])/g, "$1 $2");

/** The usual next step for an attention reason. A dispute's fingerprint is its status. */
export function suggestedAction(reason) {
  if (kindOf(reason) !== "dispute") return SUGGESTED_ACTIONS[kindOf(reason)] ?? "";
  return ["lost", "prevented"].includes(reason.fingerprint) ? LOST_DISPUTE : OPEN_DISPUTE;
}
