// Invoices: asking for one when paying, and the documents of a payment.
import { explain, SessionExpired } from "../shared/api.js";
import { action, announce, h, icon, loading } from "../shared/dom.js";
import { day, money } from "../shared/format.js";
import * as api from "./api.js";
import { texts } from "./text.js";

const words = texts.invoice;

/**
 * The box "I need an invoice" of the payment form: `{element, isChecked(), reason(), offer(isOffered)}`. `checked` says
 * whether the open payment has one. `onChange` is called after each change. `reason` is why only Stripe Checkout is left
 * to pay with, or undefined if no invoice is wanted. A purchase that costs nothing has none: then the box is not offered.
 */
export function invoiceChoice(checked, onChange) {
  const id = "invoice";
  const hint = `${id}-hint`;
  const input = h("input", { type: "checkbox", id, name: id, checked: Boolean(checked), "aria-describedby": hint });
  input.addEventListener("change", () => {
    onChange();
    if (input.checked) announce(words.on_checkout); // the list of ways to pay, above the box, has become shorter
  });
  const label = h("div", {}, h("label", { for: id }, words.need), h("p", { class: "small", id: hint }, words.hint));
  const element = h("div", { class: "check" }, input, label);
  const isChecked = () => input.checked && !element.hidden;
  return {
    element,
    isChecked,
    reason: () => (isChecked() ? words.on_checkout : undefined),
    offer: (isOffered) => {
      element.hidden = !isOffered;
    },
  };
}

/**
 * The invoice and credit notes of a payment, which load automatically; undefined if the student asked for none. Their
 * links expire, so they are loaded each time the payment is shown.
 */
export function documents(payment) {
  if (!payment.invoice) return undefined;
  if (payment.invoice === "requested") {
    const paid = ["SUCCEEDED", "REFUNDED"].includes(payment.status);
    return h("p", { class: "small" }, paid ? words.in_a_moment : words.after_payment);
  }
  const container = h("div", {});
  load(container, payment);
  return h("div", { class: "documents" }, h("h3", {}, words.list), container);
}

async function load(container, payment) {
  container.replaceChildren(loading(words.loading));
  try {
    const { documents: list } = await api.listDocuments(payment.payment_id);
    container.replaceChildren(list.length ? documentList(list) : h("p", { class: "small" }, words.in_a_moment));
  } catch (error) {
    if (error instanceof SessionExpired) throw error;
    const retry = async () => {
      await load(container, payment);
      const link = container.querySelector("a");
      link?.focus();
      if (link) announce(words.loaded);
    };
    const problem = h("p", { class: "error", role: "alert" }, icon("alert"), explain(error));
    container.replaceChildren(problem, action(words.try_again, retry, { class: "quiet" }));
  }
}

const documentList = (list) =>
  h("ul", {}, list.map((document) => h("li", {}, ...documentLine(document))));

/** The name, date and amount of a document, and its links. A credit note has only a PDF. */
function documentLine({ kind, number, created_at: createdAt, amount, currency, url, pdf_url: pdf }) {
  const name = kind === "invoice" ? words.invoice(number ?? "") : words.credit_note(number ?? "");
  const sum = money(kind === "invoice" ? amount : -amount, currency);
  const link = (href, text, label) =>
    href && h("a", { href, target: "_blank", rel: "noopener", "aria-label": label }, text);
  return [
    h("span", {}, words.line(name, day(createdAt), sum)),
    link(url, words.view, words.view_named(name)),
    link(pdf, words.download, words.download_named(name)),
  ].filter(Boolean);
}
