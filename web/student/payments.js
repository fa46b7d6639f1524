// My payments: the list with receipts and refunds.
import { explain, SessionExpired } from "../shared/api.js";
import { action, announce, h, icon, note, show } from "../shared/dom.js";
import { day, differsFromPrice, methodName, moment, money } from "../shared/format.js";
import * as api from "./api.js";
import { describe } from "./payment_state.js";
import { refundRequestNote, requestRefund } from "./refund.js";
import { texts } from "./text.js";
import { requestWithdrawal, withdrawalNote } from "./withdrawal.js";

const words = texts.payments;

/** Reasons that Stripe names itself, for a refund that was not requested here. */
const REASONS_OF_STRIPE = {
  duplicate: words.duplicate,
  fraudulent: "",
  requested_by_customer: "",
  expired_uncaptured_charge: "",
};

/** The list of payments. An email's link names one of them (`#/payments/pay_1`), which is brought into view. */
export async function paymentsView({ main }, paymentId) {
  const [page, catalog, titles] = await Promise.all([api.listPayments(), api.getCatalog(), api.getTitles()]);
  const sold = new Set(catalog.tracks.map(({ track }) => track));
  const list = h("ul", { class: "rows", "aria-label": words.list });
  show(main, words.title, ...(page.payments.length ? [list] : emptyState()));
  const context = { titles, sold };
  list.append(...page.payments.map((payment) => paymentItem(payment, context)));
  if (page.next_cursor) main.append(olderPayments(list, page.next_cursor, context));
  const named = page.payments.findIndex((payment) => payment.payment_id === paymentId);
  if (named >= 0) {
    list.children[named].scrollIntoView({ block: "center" });
    list.children[named].focus({ preventScroll: true });
  }
}

function emptyState() {
  return [
    h("p", { class: "lead" }, words.empty),
    h("p", {}, h("a", { class: "button", href: "#/" }, words.browse)),
  ];
}

function olderPayments(list, firstCursor, context) {
  let cursor = firstCursor;
  const errorBox = h("div", {});
  const load = async () => {
    errorBox.replaceChildren();
    const page = await api.listPayments(cursor);
    cursor = page.next_cursor;
    list.append(...page.payments.map((payment) => paymentItem(payment, context)));
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
  const { amount, currency, price, track, created_at: createdAt } = payment;
  const { chip, sentence } = describe({ payment });
  const [kind, drawing, text] = chip;
  const title = context.titles.get(track) ?? track;
  const item = h(
    "li",
    { tabindex: -1 },
    h(
      "div",
      { class: "grow" },
      h("h2", {}, title),
      h(
        "p",
        { class: "small" },
        h("time", { datetime: createdAt }, moment(createdAt)),
        payment.payment_method && ` · ${methodName(payment.payment_method)}`,
      ),
      payment.refund_amount > payment.refund_pending_amount && h("p", { class: "small" }, refundedText(payment)),
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
    h("div", { class: "row whole" }, ...actions(payment, title, context, () => item)),
  );
  return item;
}

function refundedText({ refund_amount: counted, refund_pending_amount: pending, currency, refunded_at: at, refund_reason: why }) {
  const amount = money(counted - pending, currency);
  const refund = at ? words.refunded_on(amount, day(at)) : words.refunded(amount);
  const reason = REASONS_OF_STRIPE[why] ?? why;
  return reason ? words.refund_reason(refund, reason) : refund;
}

function actions(payment, title, context, item) {
  const { receipt_url: receipt, track } = payment;
  const { actions: allowed } = describe({ payment, sold: context.sold.has(track) });
  const links = [];
  if (receipt) {
    const label = words.receipt_for(title);
    links.push(h("a", { href: receipt, target: "_blank", rel: "noopener", "aria-label": label }, words.receipt));
  }
  if (allowed.includes("view")) links.push(h("a", { href: `#/buy/${track}` }, words.view));
  if (allowed.includes("complete")) links.push(h("a", { href: `#/buy/${track}` }, words.complete));
  const onDone = (updated, message) => replaceItem(item(), paymentItem(updated, context), message);
  if (allowed.includes("withdraw"))
    links.push(button(words.withdraw, words.withdraw_for(title), () => requestWithdrawal({ payment, title }, onDone)));
  if (allowed.includes("refund"))
    links.push(button(words.refund, words.refund_of(title), () => requestRefund({ payment, title }, onDone)));
  return links;
}

const button = (text, about, onclick) =>
  h("button", { type: "button", class: "quiet", onclick }, text, h("span", { class: "visually-hidden" }, about));

function replaceItem(item, updated, message) {
  if (message) updated.append(note("good", h("p", {}, message)));
  item.replaceWith(updated);
  announce(updated.querySelector(".note")?.textContent ?? "");
  updated.setAttribute("tabindex", "-1");
  updated.focus();
}
