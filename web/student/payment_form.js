// The payment form: the ways to pay, the terms, and the button.
import { announce, h, icon } from "../shared/dom.js";
import { money } from "../shared/format.js";
import { showExpress } from "./express.js";
import { invoiceChoice } from "./invoice.js";
import { termsBox } from "./terms.js";
import { texts } from "./text.js";
import { waysToPay } from "./ways.js";

const words = texts.payment_form;

/**
 * `{element, onSubmit(listener), onExpress(listener), isBusy(), setBusy(busy), showError(text), showCode(), terms}`.
 * The listener receives `{kind, method, elements, save, code, invoice, terms}` of what the student chose and agreed to.
 * That of `onExpress` receives the same, and returns why the payment failed, if it did. `code` is the order's promotion
 * code; call `showCode` after it has changed. `started` has the choices of an open payment, as the API names them.
 */
export function buildPaymentForm({ track, catalog, savedMethods, config, started, code }) {
  const types = catalog.payment_method_types;
  const errorBox = h("div", { role: "alert" });
  const terms = termsBox(track, catalog);
  const button = h("button", { type: "submit", class: "wide" });
  const ways = waysToPay({
    ...{ charge: { amount: track.amount, currency: track.currency }, types, savedMethods, started, config },
    onChange: showChoice,
    onError: showError,
  });
  const invoice = invoiceChoice(started?.invoice, showCode);
  const wallets = h("div", { class: "express-buttons" });
  const walletsHeading = h("p", { class: "or", hidden: true }, words.express);
  const express = h("div", { class: "express" }, walletsHeading, wallets);
  const element = h(
    "form",
    { class: "pay", novalidate: true },
    ways.element,
    invoice.element,
    terms.element,
    errorBox,
    button,
    express,
    h("p", { class: "small secure" }, icon("shield"), words.secure),
  );
  const isBusy = () => button.getAttribute("aria-busy") === "true";

  function label() {
    if (ways.choice().kind !== "checkout") return words.pay(money(track.amount, track.currency));
    return code.applied()
      ? words.to_stripe_amount(money(code.applied().amount, track.currency))
      : words.to_stripe;
  }

  function showChoice() {
    button.textContent = label();
    errorBox.replaceChildren();
  }

  /** A purchase with a promotion code is paid on Stripe Checkout, which counts its uses. So is one with an invoice. */
  function showCode() {
    invoice.offer(code.applied()?.amount !== 0);
    const reasons = [code.applied() && words.code_on_checkout(code.applied().code), invoice.reason()].filter(Boolean);
    ways.showOnlyCheckout(reasons);
    express.hidden = reasons.length > 0;
    showChoice();
  }

  function showError(text) {
    errorBox.replaceChildren(...(text ? [h("p", { class: "error" }, icon("alert"), text)] : []));
  }

  const agreed = () => terms.version() && { terms: terms.version() };

  showCode();
  return {
    element,
    terms,
    showCode,
    showError,
    isBusy,
    setBusy(busy) {
      button.setAttribute("aria-busy", String(busy));
      if (!busy) {
        button.textContent = label();
        return;
      }
      showError("");
      button.textContent = ways.choice().kind === "checkout" ? words.opening_stripe : words.paying;
      announce(button.textContent);
    },
    onSubmit: (listener) =>
      element.addEventListener("submit", async (event) => {
        event.preventDefault();
        if (isBusy()) return;
        // A code that was typed and not applied is never ignored: the student sees the total before they pay it.
        if (code.isTyped()) await code.apply();
        else if (terms.require()) listener({ ...ways.choice(), code: code.applied()?.code, invoice: invoice.isChecked(), ...agreed() });
      }),
    onExpress: (listener) =>
      showExpress({
        ...{ config, track, types, container: wallets },
        onAvailable: (any) => {
          walletsHeading.hidden = !any;
        },
        mayPay: () => !isBusy() && terms.require(),
        onConfirm: (elements) => listener({ kind: "express", elements, ...agreed() }),
      }),
  };
}
