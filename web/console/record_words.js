// Audit records in words: a title, and what each changed.
import { moneyWithCode, sentenceCase } from "../shared/format.js";
import { enrollmentStatus, paymentStatus, planStatus } from "./status.js";

/** The text that the API has in place of one that no audit record holds. */
export const NOT_RECORDED = "not recorded";
/** The beginning of the type of a record by which staff request an email. The kind of the email follows. */
export const EMAIL_RECORD = "email.requested.";
const TITLES = {
  "payment.created": "Payment created",
  "terms.agreed": "Terms agreed",
  pull: "Synced with Stripe",
  rebuilt: "Rebuilt from Stripe",
  "payment.confirmed": "Confirmed by Stripe",
  "payment.compared": "Compared with Stripe’s balance",
  "payment.erased": "Personal data erased",
  "contract.withdrawn": "Withdrawal from the contract",
  "refund.requested": "Refund requested",
  "refund.withdrawn": "Refund request withdrawn",
  "refund.created_by_staff": "Refund created by staff",
  "refund.approved": "Refund request approved",
  "refund.declined": "Refund request declined",
  "refund.refused": "Refund rejected by Stripe",
  "refund.tried_again": "Refund retried",
  "charge.dispute.funds_withdrawn": "Bank took the money",
  "charge.dispute.funds_reinstated": "Bank gave the money back",
  "decision.accept_amount": "Amount accepted",
  "decision.revoke": "Access revoked",
  "decision.restore": "Access restored",
  "attention.acknowledged": "Marked as resolved",
  "purchases.block": "Purchases blocked",
  "purchases.allow": "Purchases allowed",
  "legal_hold.set": "Legal hold set",
  "legal_hold.lift": "Legal hold lifted",
  "note.written": "Note written",
  "note.deleted": "Note deleted",
  "evidence.saved": "Draft of evidence for a dispute saved",
  "evidence.submitting": "Evidence for a dispute being sent",
  "evidence.sent": "Evidence for a dispute sent",
  "evidence.refused": "Stripe refused the evidence for a dispute",
  "tags.changed": "Tags changed",
  "export.ordered": "Data exported",
  "data.read": "Personal data read",
  "email.corrected": "Email address corrected",
  "event.discarded": "Quarantined event discarded",
  "event.replayed": "Quarantined event retried",
  "plan.created": "Payment plan created",
  "plan.announced": "Charge announced",
  "plan.announced.card_expires": "Charge announced; the card expires before it",
  "plan.notice_bounced": "The notice of a charge bounced",
  "plan.rebuilt": "Plan rebuilt from Stripe",
  "plan.expired": "Details of the plan deleted after the retention period",
  "setup_intent.succeeded": "Payment method set up",
  "setup_intent.setup_failed": "Payment method not set up",
  "payment_method.automatically_updated": "Card replaced by its network",
  "payment_method.detached": "Payment method removed at Stripe",
  "mandate.updated": "Mandate of a bank account changed",
  "customer.deleted": "Customer deleted at Stripe",
  "plan.tick": "A date of the plan passed",
  "plan.payment_created": "Payment of an installment created",
  "plan.payment_changed": "Payment of the plan changed",
  "plan.create_refused": "Stripe refused the payment of an installment",
  "plan.try_begun": "Automatic charge started",
  "plan.try_answered": "Result of the automatic charge",
  "plan.method_chosen": "Payment method chosen",
  "plan.method_gone": "Payment method removed at Stripe",
  "plan.track_begun": "Track begun by the member",
  "plan.recomputed": "Compared with its payments",
  "plan.attention_acknowledged": "Marked as resolved",
  "plan.decision.cancel": "Membership canceled",
  "plan.decision.undo_cancel": "Cancellation taken back",
  "plan.decision.withdraw": "Plan canceled by the student, with a refund",
  "plan.decision.waive": "Installment waived",
  "plan.decision.reschedule": "Installment moved",
  "plan.decision.forgive": "Rest forgiven",
  "plan.decision.pause": "Plan paused",
  "plan.decision.resume": "Plan resumed",
  "plan.decision.continue": "Plan continued after a refund",
  "plan.decision.close": "Plan closed",
  "plan.decision.revoke": "Access revoked",
  "plan.decision.restore": "Access restored",
  "collecting.started": "Charges of plans started",
  "collecting.stopped": "Charges of plans stopped",
  "selling.started": "Selling started",
  "selling.stopped": "Selling stopped",
};
const STATUS_TITLES = {
  FAILED: "Payment failed",
  PROCESSING: "The bank is processing the payment",
  CANCELED: "Closed unpaid",
};
const ENROLLMENT_TITLES = {
  ENROLLED: "The student is enrolled",
  SUSPENDED: "Access is suspended",
  WITHDRAWN: "The student is no longer enrolled",
};

/** The title of a record: its own, else its most important change, else its type. */
export function recordTitle({ type, transition }) {
  if (type.startsWith(EMAIL_RECORD)) return `Email requested by staff: ${sentenceCase(type.slice(EMAIL_RECORD.length))}`;
  const { settled, refunded, refunds, lost, status, enrollment, disputes, attention, currency } = transition;
  const money = (amount) => moneyWithCode(Math.abs(amount), currency);
  const ends = (changes) => Object.values(changes ?? {}).map(({ to }) => to);
  if (disputes) return disputeTitle(Object.values(disputes)[0], TITLES[type]);
  if (TITLES[type]) return TITLES[type];
  if (settled) return `Paid ${money(settled)}`;
  if (refunded > 0) return `Refunded ${money(refunded)}`;
  if (refunded < 0) return `Refund of ${money(refunded)} failed`;
  if (refunds) return `Refund ${sentenceCase(ends(refunds)[0] ?? "changed").toLowerCase()}`;
  if (lost) return lost > 0 ? `Lost ${money(lost)} to a dispute` : `Won back ${money(lost)}`;
  if (STATUS_TITLES[status?.to]) return STATUS_TITLES[status.to];
  if (enrollment && ENROLLMENT_TITLES[enrollment.to]) return ENROLLMENT_TITLES[enrollment.to];
  if (attention) return "Needs attention";
  if (type.startsWith("erasure.")) return `Erasure of the data ${type.slice("erasure.".length)}`;
  if (type === "refund.made") return "Refund created at Stripe";
  return type;
}

/** "Dispute opened", "Dispute lost", or what else a bank did. */
function disputeTitle({ from, to }, title) {
  if (!from) return "Dispute opened";
  if (["won", "lost", "prevented", "warning_closed"].includes(to)) return to === "warning_closed" ? "Inquiry closed" : `Dispute ${to}`;
  return title ?? `Dispute: ${sentenceCase(to).toLowerCase()}`;
}

/** The changes that a record made, as sentences without the names of states. `method` is how the payment was paid. */
export function recordWords(record, method) {
  const { settled, refunded, lost, status, enrollment, attention, currency } = record.transition;
  const title = recordTitle(record);
  const money = (amount) => moneyWithCode(Math.abs(amount), currency);
  const lines = [
    settled && method,
    refunded > 0 && `Refunded ${money(refunded)}`,
    lost > 0 && `Lost ${money(lost)} to a dispute`,
    lost < 0 && `Won back ${money(lost)}`,
    status && STATUS_TITLES[status.to],
    enrollment && ENROLLMENT_TITLES[enrollment.to],
    ...planWords(record.transition),
    attention && `Needs attention: ${attention.map(attentionName).join(", ")}`,
  ];
  return lines.filter((line) => line && line !== title);
}

/** `plan.gave_up` is of the plan of a payment. */
const attentionName = (name) => name.replace(/^plan\./, "").split(":")[0].replace(/_/g, " ");

/** The changes of a plan by a commit: its status, a charge that was announced, and one that failed. */
function planWords({ plan, announced, try_failed: failed, currency }) {
  return [
    plan?.from && plan.to && `The plan is ${planStatus(plan.to)[0].toLowerCase()}`,
    announced && `Installment ${announced.installment}, ${moneyWithCode(announced.amount, currency)}, is charged on ${announced.day}`,
    failed && `Installment ${failed.installment}: ${sentenceCase(failed.code ?? "failed").toLowerCase()}`,
  ];
}

/** The changes that a record made, with every state. */
export function transitionLines(transition) {
  const { status, enrollment, enrollments = {}, settled, refunded, lost, attention, plan, currency } = transition;
  const lines = [];
  const money = (amount) => moneyWithCode(Math.abs(amount), currency);
  const statusName = (value) => (value ? paymentStatus(value)[0] : "none");
  const enrollmentName = (value) => (value ? enrollmentStatus(value)[0] : "none");
  if (settled) lines.push(`Received ${money(settled)}`);
  if (refunded) lines.push(`${refunded > 0 ? "Refunded" : "Refund undone:"} ${money(refunded)}`);
  if (lost) lines.push(lost > 0 ? `Lost ${money(lost)} to a dispute` : `Won back ${money(lost)}`);
  if (status) lines.push(`Status: ${statusName(status.from)} → ${statusName(status.to)}`);
  if (enrollment) lines.push(`Enrollment: ${enrollmentName(enrollment.from)} → ${enrollmentName(enrollment.to)}`);
  for (const [track, { from, to }] of Object.entries(enrollments)) lines.push(`Enrollment in ${track}: ${enrollmentName(from)} → ${enrollmentName(to)}`);
  if (plan?.to) lines.push(`Plan: ${plan.from ? planStatus(plan.from)[0] : "none"} → ${planStatus(plan.to)[0]}`);
  lines.push(...planWords({ ...transition, plan: undefined }).filter(Boolean));
  if (attention) lines.push(`Needs attention: ${attention.join(", ")}`);
  return lines;
}

/** A decision about a plan that was taken, by its name in the API. The page adds the installments. */
export const decidedWords = {
  waive: "Waived",
  reschedule: "Moved",
  forgive: "Forgave",
  pause: "Paused",
  resume: "Resumed",
  continue: "Continued after a refund",
  close: "Closed",
  revoke: "Revoked access",
  restore: "Restored access",
  cancel: "Canceled",
  undo_cancel: "Took back the cancellation",
  withdraw: "Canceled with a full refund",
};
