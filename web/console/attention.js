// The queue of what needs a person: each payment with its causes, and the usual way out of each.
import { read, useAnswer } from "./api.js";
import { html } from "./html.js";
import { Amount, Answer, Empty, Pager, Status, Time, UserLink } from "./parts.js";
import { to } from "./place.js";

const WAYS = {
  amount: "Refund it, or accept what was received: then the student is enrolled.",
  double: "Refund one of the two.",
  dispute: "Answer it in Stripe’s dashboard by its date; a lost one withdraws the student.",
  refund: "The student is enrolled again: pay back another way, or try again.",
  claim: "Find out who made the other object; refund it in Stripe’s dashboard.",
  gone: "Find out who deleted it at Stripe, or whether our key is of another account.",
  rebuilt: "Look whether more is missing, then mark it as dealt with.",
};

/** The detail of a cause, Stripe's names in words. */
export const plain = (detail) => detail.replace(/([a-z])_([a-z])/g, "$1 $2");

/** The usual way out of a cause: `dispute:du_1` is of the kind `dispute`. */
export const ways = (name) => WAYS[name.split(":")[0]] ?? "";

export function Attention({ query, staff }) {
  const found = useAnswer(() => read("/admin/attention/", { limit: 50, cursor: query.cursor }), [query.cursor]);
  return html`<h1 tabindex="-1">Needs a person</h1>
    <${Answer} of=${found} empty=${({ payments, next_cursor: more }) => !payments.length && !more && html`<${Empty} title="Nothing needs a person"><p>Disputes, amounts that differ, double payments and failed refunds come here.</p><//>`}>
      ${({ payments, next_cursor: more }) => html`<div class="scroll"><table class="rows">
        <thead><tr><th>Begun</th><th>Student</th><th>Track</th><th class="right">Amount</th><th>Status</th><th>What is the matter</th><th>Usual way out</th><th><span class="visually-hidden">Act</span></th></tr></thead>
        <tbody>${payments.flatMap((payment) => causes(payment).map((cause, index) => html`<${Row} key=${`${payment.payment_id} ${cause.name}`} payment=${payment} cause=${cause} first=${index === 0} staff=${staff} />`))}</tbody>
      </table></div>
      <${Pager} path=${["attention"]} query=${query} next=${more} count=${payments.length} />`}
    <//>`;
}

/** A payment that is here because it doubles a marked one has no cause of its own. */
const causes = ({ attention }) =>
  attention.length ? attention : [{ name: "", detail: "belongs to a payment below or above that is marked" }];

function Row({ payment, cause, first, staff }) {
  const { payment_id: id } = payment;
  const kind = cause.name.split(":")[0];
  const detail = plain(cause.detail);
  return html`<tr data-id=${id}>
    <td><a class=${first ? "open" : ""} href=${to(["payments", id])}><${Time} at=${payment.created_at} /></a></td>
    <td><${UserLink} id=${payment.user_id}>${payment.email ?? payment.user_id}<//></td>
    <td>${payment.track}</td>
    <td class="right"><${Amount} payment=${payment} /></td>
    <td><${Status} status=${payment.status} /></td>
    <td class="long"><span class="chip warn">${kind || "other"}</span> ${kind && detail.startsWith(`${kind} `) ? detail.slice(kind.length + 1) : detail}</td>
    <td class="long small">${ways(cause.name)}</td>
    <td class="actions">${staff.decides && cause.name && html`<a class="button quiet" href=${to(["payments", id], { do: "resolve", on: cause.name })}>Dealt with…</a>`}</td>
  </tr>`;
}
