// The queue of payments that need attention: each reason with a suggested action.
import { get, useResponse } from "./api.js";
import { Amount, Empty, WhenLoaded, Pager, Status, Time, UserLink } from "./components.js";
import { html } from "./preact.js";
import { routeTo } from "./route.js";

const OPEN_DISPUTE =
  "Submit evidence in Stripe by the due date. If the dispute is lost, the student loses access.";
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
  claim: "Find out who created the other object, and refund it in Stripe.",
  gone: "Find out who deleted it in Stripe, or whether our key belongs to another account.",
  unknown: "Look at the object in Stripe, and tell a developer. The unknown value counts for nothing here.",
  books: "Compare the payment with Stripe’s balance transactions, then mark as resolved.",
  chain: "Someone may have changed our tables. Tell a developer, and keep the payment as it is.",
  unconfirmed: "Look at the payment in Stripe. If it was never paid, revoke access and find out who sent the event.",
  rebuilt: "Check for other missing records, then mark as resolved.",
};

/** The kind of an attention reason: `dispute:du_1` is a `dispute`. */
export const kindOf = ({ name }) => name.split(":")[0];

/** The detail of an attention reason, with Stripe's codes in words. */
export const detailText = ({ detail }) => detail.replace(/([a-z])_([a-z])/g, "$1 $2");

/** The usual next step for an attention reason. A dispute's fingerprint is its status. */
export function suggestedAction(reason) {
  if (kindOf(reason) !== "dispute") return SUGGESTED_ACTIONS[kindOf(reason)] ?? "";
  return ["lost", "prevented"].includes(reason.fingerprint) ? LOST_DISPUTE : OPEN_DISPUTE;
}

export function Attention({ query, staff }) {
  const state = useResponse(() => get("/admin/attention", { limit: 50, cursor: query.cursor }), [query.cursor]);
  const empty = ({ payments, next_cursor: next }) =>
    !payments.length &&
    !next &&
    html`<${Empty} title="Nothing needs attention"><p>Disputes, differing amounts, double payments and failed refunds appear here.</p><//>`;
  return html`<h1 tabindex="-1">Needs attention</h1>
    <${WhenLoaded} of=${state} empty=${empty}>
      ${({ payments, next_cursor: next }) => html`<div class="scroll"><table class="rows">
        <thead><tr><th>Created</th><th>Student</th><th>Track</th><th class="right">Amount</th><th>Status</th><th>Issue</th><th>Suggested action</th><th><span class="visually-hidden">Actions</span></th></tr></thead>
        <tbody>${payments.flatMap((payment) => reasons(payment).map((reason, index) => html`<${Row} key=${`${payment.payment_id} ${reason.name}`} payment=${payment} reason=${reason} isFirst=${index === 0} staff=${staff} />`))}</tbody>
      </table></div>
      <${Pager} path=${["attention"]} query=${query} next=${next} count=${payments.length} />`}
    <//>`;
}

/** A payment in the list without a reason of its own belongs to a double payment. */
const reasons = ({ attention }) =>
  attention.length ? attention : [{ name: "", detail: "part of a double payment in this list" }];

/** How staff end a reason: a refund request is decided, everything else is marked as resolved. */
function ActionLink({ id, reason }) {
  if (kindOf(reason) === "refund_request") return html`<a class="button quiet" href=${routeTo(["payments", id])}>Decide…</a>`;
  const query = { do: "resolve", on: reason.name };
  return html`<a class="button quiet" href=${routeTo(["payments", id], query)}>Mark as resolved…</a>`;
}

function Row({ payment, reason, isFirst, staff }) {
  const { payment_id: id } = payment;
  const kind = kindOf(reason);
  const detail = detailText(reason);
  return html`<tr data-id=${id}>
    <td><a class=${isFirst ? "open" : ""} href=${routeTo(["payments", id])}><${Time} at=${payment.created_at} /></a></td>
    <td><${UserLink} id=${payment.user_id}>${payment.email ?? payment.user_id}<//></td>
    <td>${payment.track}</td>
    <td class="right"><${Amount} payment=${payment} /></td>
    <td><${Status} payment=${payment} /></td>
    <td class="long"><span class="chip warn">${kind.replace("_", " ") || "other"}</span> ${kind && detail.startsWith(`${kind} `) ? detail.slice(kind.length + 1) : detail}</td>
    <td class="long small">${suggestedAction(reason)}</td>
    <td class="actions">${staff.decides && reason.name && html`<${ActionLink} id=${id} reason=${reason} />`}</td>
  </tr>`;
}
