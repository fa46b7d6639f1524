// A table of payments: of the payments list and of a user.
import { shortMethodName } from "../shared/format.js";
import { Amount, AttentionChips, Failure, None, Status, Time, UserLink } from "./components.js";
import { html, useLayoutEffect, useRef } from "./preact.js";
import { routeTo } from "./route.js";

/** The payment that was opened last: its row gets the focus when the list is shown again. */
let lastOpened;

const rememberOpened = (id) => () => {
  lastOpened = id;
};

export function PaymentTable({ payments, showStudent = true }) {
  const body = useRef(null);
  useLayoutEffect(() => {
    const isListed = payments.some(({ payment_id: id }) => id === lastOpened);
    const link = isListed && body.current.querySelector(`tr[data-id="${lastOpened}"] a.open`);
    if (link) link.focus({ preventScroll: false });
    lastOpened = undefined;
  }, []);
  return html`<div class="scroll"><table class="rows">
    <thead><tr><th>Created</th><th>Status</th><th class="right">Amount</th><th>Track</th>${showStudent && html`<th>Student</th>`}<th>Method</th><th>Attention</th><th>Payment</th></tr></thead>
    <tbody ref=${body}>${payments.map((payment) => html`<${Row} key=${payment.payment_id} payment=${payment} showStudent=${showStudent} />`)}</tbody>
  </table></div>`;
}

function Row({ payment, showStudent }) {
  const { payment_id: id, created_at: createdAt, track, failure, attention } = payment;
  return html`<tr data-id=${id}>
    <td><a class="open" href=${routeTo(["payments", id])} onClick=${rememberOpened(id)}><${Time} at=${createdAt} /></a></td>
    <td><${Status} payment=${payment} /><${Failure} failure=${failure} /></td>
    <td class="right"><${Amount} payment=${payment} /></td>
    <td>${track}</td>
    ${showStudent && html`<td><${UserLink} id=${payment.user_id}>${payment.email ?? payment.user_id}<//></td>`}
    <td>${shortMethodName(payment.payment_method) || html`<${None} />`}</td>
    <td>${attention.length ? html`<${AttentionChips} reasons=${attention} />` : html`<${None} />`}</td>
    <td class="cut" title=${id}><code>${id}</code></td>
  </tr>`;
}
