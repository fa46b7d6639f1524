// The page of a payment, `#/payments/pay_1`: the lasting confirmation, order and receipt, to read or to print.
import { Problem } from "../shared/api.js";
import { announce, h, icon, note, show } from "../shared/dom.js";
import { day, differsFromPrice, methodName, moment, money } from "../shared/format.js";
import * as api from "./api.js";
import { documents } from "./invoice.js";
import { paymentActions, refundedText } from "./payment_actions.js";
import { canWithdraw, describe } from "./payment_state.js";
import { refundRequestNote } from "./refund.js";
import { contactLink, newTab } from "./school_links.js";
import { texts } from "./text.js";
import { withdrawalNote } from "./withdrawal.js";

const words = texts.payment_page;

/** Show the payment. Actions show it again with what they changed. */
export async function paymentPage({ main }, id) {
  const [payment, catalog, titles] = await Promise.all([
    api.readPayment(id).catch((error) => {
      if (error instanceof Problem && error.status === 404) return undefined;
      throw error;
    }),
    api.getCatalog(),
    api.getTitles(),
  ]);
  if (payment) showPayment(main, payment, catalog, titles.get(api.codeOf(payment)) ?? api.codeOf(payment));
  else show(main, words.not_found, h("p", {}, words.not_found_why), h("p", {}, listLink()));
}

const listLink = () => h("a", { href: "#/payments" }, words.all);

function showPayment(main, payment, catalog, title, message) {
  const sold = catalog.tracks.find(({ track }) => track === payment.track);
  const onDone = (updated, text) => {
    showPayment(main, updated, catalog, title, text);
    if (text) announce(text);
  };
  const hasAccess = !payment.plan_id && payment.status === "SUCCEEDED" && !payment.no_access_reason;
  const { chip, sentence } = describe({ payment });
  const [kind, drawing, text] = chip;
  const print = h("button", { type: "button", class: "quiet", onclick: () => window.print() }, icon("print"), words.print);
  show(
    main,
    hasAccess ? words.enrolled(title) : words.title(title),
    message && note("good", h("p", {}, message)),
    hasAccess && !message && enrolledNote(payment, sold),
    withdrawalNote(payment),
    refundRequestNote(payment),
    h(
      "section",
      { class: "panel order", "aria-labelledby": "order" },
      h(
        "div",
        { class: "row spread" },
        h("h2", { id: "order" }, payment.paid_at ? words.receipt : words.order),
        h("span", { class: `chip ${kind}` }, icon(drawing), text),
      ),
      sentence && h("p", { class: "small" }, sentence),
      h("dl", {}, facts(payment, catalog, title).map(fact)),
      h("dl", { class: "sums" }, sums(payment).map(fact)),
      documents(payment),
      seller(catalog),
    ),
    h(
      "div",
      { class: "row actions" },
      hasAccess && h("a", { class: "button", href: "#/learning" }, words.learn),
      print,
      ...paymentActions({ payment, title, isSold: Boolean(sold) }, onDone),
      listLink(),
    ),
  );
}

function enrolledNote(payment, sold) {
  const { amount, currency, price } = payment;
  const paid = differsFromPrice(payment)
    ? words.paid_differs(money(amount, currency), money(price.amount, price.currency))
    : amount === 0
      ? words.free
      : words.paid(money(amount, currency));
  const [project] = sold?.projects ?? [];
  return note("good", h("p", {}, paid), project && h("p", {}, words.unlocked(project.title)));
}

const fact = ([name, ...value]) => h("div", {}, h("dt", {}, name), h("dd", {}, ...value));
const time = (at, text = moment(at)) => h("time", { datetime: at }, text);

/** The facts of the payment, each as a name and its value. */
function facts(payment, catalog, title) {
  const { payment_id: id, created_at: createdAt, paid_at: paidAt, email, payment_method: method } = payment;
  const { refundable_until: refundableUntil, withdrawal, agreed_terms: terms } = payment;
  const refundable = payment.can_request_refund && refundableUntil && new Date(refundableUntil) > Date.now();
  const { version, url } = catalog.terms ?? {};
  const termsName = url && terms?.version === version ? newTab(url, version) : terms?.version;
  return [
    [payment.track ? words.track : words.membership, title],
    payment.covers.length > 0 && [words.installments(payment.covers.length), payment.covers.join(", ")],
    [words.number, h("span", { class: "id" }, id)],
    [words.ordered, time(createdAt)],
    paidAt && [words.paid_at, time(paidAt)],
    method && [words.method, methodName(method)],
    email && [words.email, email],
    canWithdraw(payment) && [words.withdrawable, time(withdrawal.possible_until, day(withdrawal.possible_until))],
    refundable && !canWithdraw(payment) && [words.refundable, time(refundableUntil, day(refundableUntil))],
    terms && [words.terms, ...words.agreed(termsName, time(terms.at))],
  ].filter(Boolean);
}

/** How the amount comes about, and the money that went back. */
function sums(payment) {
  const { amount, currency, price, discount, paid_at: paidAt, refund_pending_amount: pending } = payment;
  const refunded = payment.refund_amount - pending;
  const inPrice = (value) => money(value, price.currency);
  return [
    (discount > 0 || differsFromPrice(payment)) && [words.price, inPrice(price.amount + discount)],
    discount > 0 && [words.discount, inPrice(-discount)],
    [paidAt ? words.total_paid : words.total, money(amount, currency)],
    refunded > 0 && [refundedText(payment), money(-refunded, currency)],
    pending > 0 && [words.refund_pending, money(-pending, currency)],
  ].filter(Boolean);
}

/** The school, and whom to ask. */
function seller({ school_name: name, support_contact: contact }) {
  if (!name && !contact) return undefined;
  return h("p", { class: "small" }, name, name && contact && h("br"), ...(contact ? words.contact(contactLink(contact)) : []));
}
