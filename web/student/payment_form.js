// The payment form: a saved method, Stripe's fields, or Stripe Checkout.
import { announce, h, icon } from "../shared/dom.js";
import { expiry, methodName, money } from "../shared/format.js";
import { cardFields } from "./card_fields.js";
import { confirm } from "./dialog.js";

const SAVE_HINT =
  "Save this payment method with Stripe so that paying is faster next time. You can remove it under Saved cards.";

/**
 * Returns `{element, onSubmit(listener), setBusy(busy), isBusy(), showError(text, field)}`. The listener receives
 * `{choice, method, elements, save, code}`. `started` has the choices of an open payment, as the API names them, so that
 * the form offers the same way to pay. `discounted` is the amount of an open Checkout session with a promotion code.
 * `onAmount` receives the amount to pay whenever it changes.
 */
export function buildPaymentForm({ track, savedMethods, config, started, types, discounted, onAmount }) {
  const price = money(track.amount, track.currency);
  const preselected =
    started?.kind === "checkout"
      ? "checkout"
      : (savedMethods.find(({ id }) => id === started?.payment_method)?.id ?? savedMethods[0]?.id ?? "new");
  const fields = h("div", { id: "payment-element", class: "stripe-fields" });
  const save = checkbox("save", "Save for next time", SAVE_HINT, started?.kind === "intent" && started.save_payment_method);
  const code = h("input", {
    id: "code",
    name: "code",
    maxlength: "200",
    autocomplete: "off",
    autocapitalize: "characters",
    spellcheck: "false",
    value: started?.promotion_code ?? "",
    "aria-describedby": "code-error",
  });
  const codeError = h("p", { class: "error", id: "code-error" });
  const newPanel = h("div", { class: "more" }, fields, save.element);
  const checkoutPanel = h(
    "div",
    { class: "more" },
    h("label", { for: "code" }, "Promotion code ", h("span", { class: "small" }, "(if you have one)")),
    code,
    codeError,
  );
  const discountHint = h("p", { class: "small", id: "discount-hint", role: "status" });
  const errorBox = h("div", { role: "alert" });
  const button = h("button", { type: "submit", class: "wide" });
  const newMethod = types.includes("us_bank_account") ? "New card or US bank account" : "New card";
  const element = h(
    "form",
    { class: "pay", novalidate: true },
    h(
      "fieldset",
      {},
      h("legend", {}, "How would you like to pay?"),
      savedMethods.map((method) =>
        option(method.id, preselected, "card", methodName(method), expiry(method) && `expires ${expiry(method)}`),
      ),
      option("new", preselected, "card", newMethod),
      newPanel,
      option(
        "checkout",
        preselected,
        "out",
        "Stripe Checkout",
        "Opens Stripe’s secure page; promotion codes accepted here",
      ),
      checkoutPanel,
    ),
    discountHint,
    errorBox,
    button,
    h(
      "p",
      { class: "small secure" },
      icon("shield"),
      "Payments are processed by Stripe. We never see your full card number.",
    ),
  );
  const choice = () => element.elements.way.value;
  const card = cardFields(config, track, types, fields, () => save.input.checked);

  /** Whether the code field still has the code of the open session, whose amount is known. */
  const hasDiscount = () =>
    discounted !== undefined && code.value.trim().toUpperCase() === started.promotion_code.toUpperCase();

  /** Say what is to be paid this way. A promotion code lowers the price on Stripe Checkout only. */
  function showAmount() {
    const onCheckout = choice() === "checkout";
    const discount = hasDiscount();
    const amount = onCheckout && discount ? discounted : track.amount;
    const elsewhere = discount
      ? `Your promotion code works on Stripe Checkout only, where you pay ${money(discounted, track.currency)}.`
      : "Your promotion code works on Stripe Checkout only.";
    discountHint.textContent = !onCheckout && code.value.trim() ? `${elsewhere} Here you pay the full ${price}.` : "";
    const total = discount ? `: ${money(amount, track.currency)}` : "";
    button.textContent = onCheckout ? `Continue to Stripe${total}` : `Pay ${price}`;
    onAmount(amount);
  }

  function showChoice() {
    newPanel.hidden = choice() !== "new";
    checkoutPanel.hidden = choice() !== "checkout";
    showAmount();
    errorBox.replaceChildren();
    if (choice() === "new") card.mount().catch((error) => showError(error.message));
  }

  function showError(text, field) {
    const atCode = field === "code";
    codeError.textContent = atCode ? text : "";
    code.setAttribute("aria-invalid", String(atCode));
    errorBox.replaceChildren(...(atCode ? [] : [h("p", { class: "error" }, icon("alert"), text)]));
    if (atCode) {
      announce(text);
      code.focus();
    }
  }

  element.addEventListener("change", ({ target }) => target.name === "way" && showChoice());
  code.addEventListener("input", showAmount);
  save.input.addEventListener("change", card.updateUsage);
  showChoice();
  return {
    element,
    showError,
    isBusy: () => button.getAttribute("aria-busy") === "true",
    setBusy: (busy) => {
      button.setAttribute("aria-busy", String(busy));
      if (busy) showError("");
      if (busy) errorBox.replaceChildren();
    },
    onSubmit: (listener) =>
      element.addEventListener("submit", async (event) => {
        event.preventDefault();
        const chosen = choice();
        if (chosen !== "checkout" && code.value.trim()) {
          const keepsDiscount = !(await mayGiveUpDiscount(price, hasDiscount() && money(discounted, track.currency)));
          if (keepsDiscount) {
            element.querySelector("input[value=checkout]").click();
            button.focus();
            return;
          }
          if (choice() !== chosen || !element.isConnected) return;
          code.value = "";
          showAmount();
        }
        if (chosen === "checkout") listener({ choice: chosen, code: code.value.trim() });
        else if (chosen === "new") listener({ choice: chosen, elements: card.elements(), save: save.input.checked });
        else listener({ choice: chosen, method: chosen });
      }),
  };
}

/** Ask whether the student wants to pay the full price although they have a promotion code. */
function mayGiveUpDiscount(price, discountedPrice) {
  return new Promise((resolve) => {
    const onCheckout = discountedPrice ? `you pay ${discountedPrice}` : "your promotion code is applied";
    confirm({
      title: "Pay without your promotion code?",
      content: h("p", {}, `Here you pay the full ${price}. On Stripe Checkout ${onCheckout}.`),
      confirmText: `Pay the full ${price}`,
      cancelText: "Use Stripe Checkout",
      work: async () => resolve(true),
      onClose: () => resolve(false),
    });
  });
}

function option(value, preselected, drawing, text, detail) {
  return h(
    "label",
    { class: "way" },
    h("input", { type: "radio", name: "way", value, checked: value === preselected }),
    icon(drawing),
    h(
      "span",
      { class: "grow" },
      h("span", { class: "strong" }, text),
      detail && h("span", { class: "small" }, ` ${detail}`),
    ),
  );
}

function checkbox(id, text, hint, checked) {
  const props = { type: "checkbox", id, name: id, checked: Boolean(checked), "aria-describedby": `${id}-hint` };
  const input = h("input", props);
  const label = h("div", {}, h("label", { for: id }, text), h("p", { class: "small", id: `${id}-hint` }, hint));
  return { input, element: h("div", { class: "check" }, input, label) };
}
