// Payments: the list with receipts and refunds.
import { explain, SessionExpired } from "../shared/api.js";
import { action, announce, h, icon, note, show } from "../shared/dom.js";
import { differsFromPrice, methodName, moment, money } from "../shared/format.js";
import * as api from "./api.js";
import { paymentActions, refundedText } from "./payment_actions.js";
import { paymentPage } from "./payment_page.js";
import { describe } from "./payment_state.js";
import { describePlan, duePayment } from "./plan_state.js";
import { refundRequestNote } from "./refund.js";
import { texts } from "./text.js";
import { withdrawalNote } from "./withdrawal.js";

const words = texts.payments;

/** The list of payments, or the page of one of them: `#/payments/pay_1`. */
export async function paymentsView(context, paymentId) {
  if (paymentId) return paymentPage(context, paymentId);
  const [page, plans, catalog, titles] = await Promise.all([
    ...[api.listPayments(), api.listPlans(), api.getCatalog(), api.getTitles()],
  ]);
  const lists = paymentLists({ titles, sold: new Set(catalog.tracks.map(({ track }) => track)) });
  lists.add(page.payments);
  const older = page.next_cursor && olderPayments(lists, page.next_cursor);
  show(context.main, words.title, ...(page.payments.length ? [planList(plans, titles), lists.element, older] : emptyState()));
  return undefined;
}

/** The payment plans that were not given up unpaid, above the payments; undefined without one. */
function planList(plans, titles) {
  const items = plans
    .filter(({ status }) => status !== "ABANDONED")
    .map((plan) => planItem(plan, titles.get(api.codeOf(plan)) ?? api.codeOf(plan)));
  if (!items.length) return undefined;
  return h(
    "section",
    { class: "plans", "aria-labelledby": "plans" },
    h("h2", { id: "plans" }, words.plans),
    h("ul", { class: "rows" }, items),
    h("h2", {}, words.list),
  );
}

function planItem(plan, title) {
  const { plan_id: id, currency, received, refunded, lost, total } = plan;
  const { chip, sentence } = describePlan(plan);
  const [kind, drawing, text] = chip;
  const due = duePayment(plan);
  const paid = money(Math.max(0, received - refunded - lost), currency); // a dispute can take refunded money again
  const pay = due && h("a", { class: "button", href: `#/plans/${id}/pay/${due.what}` }, words.pay(money(due.amount, currency)));
  return h(
    "li",
    {},
    h(
      "div",
      { class: "grow" },
      h("h3", {}, h("a", { href: `#/plans/${id}` }, title)),
      sentence && h("p", { class: "small" }, sentence),
    ),
    h(
      "div",
      { class: "sum" },
      h("p", { class: "strong" }, total === null ? words.paid(paid) : words.paid_of(paid, money(total, currency))),
      h("span", { class: `chip ${kind}` }, icon(drawing), text),
    ),
    h("div", { class: "row whole" }, pay),
  );
}

function emptyState() {
  return [
    h("p", { class: "lead" }, words.empty),
    h("p", {}, h("a", { class: "button", href: "#/" }, words.browse)),
  ];
}

/** `{element, add(payments)}`: the payments, and folded away those that were closed unpaid. */
function paymentLists(context) {
  const list = h("ul", { class: "rows", "aria-label": words.list });
  const closed = h("ul", { class: "rows", "aria-label": words.closed_list });
  const summary = h("summary", {});
  const details = h("details", { class: "closed", hidden: true }, summary, closed);
  const add = (payments) => {
    for (const payment of payments)
      (payment.status === "CANCELED" ? closed : list).append(paymentItem(payment, context));
    summary.textContent = words.closed(closed.children.length);
    details.hidden = !closed.children.length;
    details.open ||= !list.children.length;
  };
  return { element: h("div", {}, list, details), add };
}

function olderPayments(lists, firstCursor) {
  let cursor = firstCursor;
  const errorBox = h("div", {});
  const load = async () => {
    errorBox.replaceChildren();
    const page = await api.listPayments(cursor);
    cursor = page.next_cursor;
    lists.add(page.payments);
    announce(words.loaded(page.payments.length));
    if (!cursor) button.remove();
  };
  const onError = (error) => {
    if (error instanceof SessionExpired) throw error;
    errorBox.replaceChildren(note("bad", h("p", {}, explain(error))));
  };
  const button = action(words.older, load, { class: "quiet", onError });
  return h("div", {}, button, errorBox);
}

function paymentItem(payment, context) {
  const { amount, currency, price, track, covers, created_at: createdAt } = payment;
  const { chip, sentence } = describe({ payment });
  const [kind, drawing, text] = chip;
  const title = context.titles.get(api.codeOf(payment)) ?? api.codeOf(payment);
  const refunded = refundedText(payment);
  const onDone = (updated, message) => replaceItem(item, paymentItem(updated, context), message);
  const item = h(
    "li",
    { tabindex: "-1" },
    h(
      "div",
      { class: "grow" },
      h("h2", {}, h("a", { href: `#/payments/${payment.payment_id}` }, title)),
      h(
        "p",
        { class: "small" },
        h("time", { datetime: createdAt }, moment(createdAt)),
        payment.payment_method && ` · ${methodName(payment.payment_method)}`,
      ),
      covers.length > 0 && h("p", { class: "small" }, words.installments(covers)),
      refunded && h("p", { class: "small" }, refunded),
      sentence && h("p", { class: "small" }, sentence),
    ),
    h(
      "div",
      { class: "sum" },
      h("p", { class: "strong" }, money(amount, currency)),
      differsFromPrice(payment) && h("p", { class: "small" }, words.price(money(price.amount, price.currency))),
      h("span", { class: `chip ${kind}` }, icon(drawing), text),
    ),
    withdrawalNote(payment),
    refundRequestNote(payment),
    h(
      "div",
      { class: "row whole" },
      documentsLink(payment, title),
      ...paymentActions({ payment, title, isSold: context.sold.has(track) }, onDone),
    ),
  );
  return item;
}

/** A link to the invoice and credit notes, which the payment's page lists; undefined if there are none. */
function documentsLink({ payment_id: id, invoice, refund_amount: refunded }, title) {
  if (!invoice || invoice === "requested") return undefined;
  const [text, about] = (refunded ? words.documents : words.invoice)(title);
  return h("a", { href: `#/payments/${id}` }, text, h("span", { class: "visually-hidden" }, about));
}

function replaceItem(item, updated, message) {
  if (message) updated.append(note("good", h("p", {}, message)));
  item.replaceWith(updated);
  announce(updated.querySelector(".note")?.textContent ?? "");
  updated.focus();
}
