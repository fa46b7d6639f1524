// A table of payments: of the payments list and of a user.
import { moment, shortMethodName } from "../shared/format.js";
import { Amount, AttentionChips, Failure, None, PlanLink, productOf, Status, Time, UserLink } from "./components.js";
import { CreatedHeader } from "./order.js";
import { html, useLayoutEffect, useRef } from "./preact.js";
import { routeTo } from "./route.js";

/** The payment that was opened last: its row gets the focus when the list is shown again. */
let lastOpened;

const rememberOpened = (id) => () => {
  lastOpened = id;
};

/** `order` has the props of the column that orders the list. */
export function PaymentTable({ payments, showStudent = true, order }) {
  const body = useRef(null);
  useLayoutEffect(() => {
    const isListed = payments.some(({ payment_id: id }) => id === lastOpened);
    const link = isListed && body.current.querySelector(`tr[data-id="${lastOpened}"] a.open`);
    if (link) link.focus({ preventScroll: false });
    lastOpened = undefined;
  }, []);
  return html`<div class="scroll"><table class=${`rows payments ${showStudent ? "" : "of-user"}`}>
    <caption class="visually-hidden">Payments</caption>
    <thead><tr><${CreatedHeader} ...${order} /><th scope="col">Status</th><th scope="col" class="right">Amount</th><th scope="col">Track</th>${showStudent && html`<th scope="col">Student</th>`}<th scope="col">Method</th><th scope="col">Attention</th></tr></thead>
    <tbody ref=${body}>${payments.map((payment) => html`<${Row} key=${payment.payment_id} payment=${payment} showStudent=${showStudent} />`)}</tbody>
  </table></div>`;
}

function Row({ payment, showStudent }) {
  const { payment_id: id, created_at: createdAt, failure, attention, user_id: userId, email } = payment;
  const name = `${moment(createdAt)}, ${productOf(payment)}${showStudent ? `, ${email ?? userId}` : ""}`;
  return html`<tr data-id=${id}>
    <td class="created"><a class="open" href=${routeTo(["payments", id])} aria-label=${name} onClick=${rememberOpened(id)}><${Time} at=${createdAt} /></a></td>
    <td class="status"><${Status} payment=${payment} /><${Failure} failure=${failure} /></td>
    <td class="amount right"><${Amount} payment=${payment} /><${PlanLink} payment=${payment} /></td>
    <td class="track">${productOf(payment)}</td>
    ${showStudent && html`<td class="student"><${UserLink} id=${userId}>${email ?? userId}<//></td>`}
    <td class="method">${shortMethodName(payment.payment_method) || html`<${None} />`}</td>
    <td class="reasons">${attention.length ? html`<${AttentionChips} reasons=${attention} />` : html`<${None} />`}</td>
  </tr>`;
}
