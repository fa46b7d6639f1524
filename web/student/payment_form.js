// The payment form: a saved method, Stripe's fields, or Stripe Checkout.
import { announce, h, icon } from "../shared/dom.js";
import { expiry, methodName, money } from "../shared/format.js";
import { appearance, loadStripe } from "./stripe.js";

const SAVE_HINT =
  "Save this payment method with Stripe so that paying is faster next time. You can remove it under Saved cards.";

/**
 * Returns `{element, onSubmit(listener), setBusy(busy), isBusy(), showError(text, field)}`. The listener receives
 * `{choice, method, elements, save, code}`. `started` tells how an open payment was started, so that the form offers
 * the same way to pay.
 */
export function buildPaymentForm({ track, savedMethods, config, started, types }) {
  const price = money(track.amount, track.currency);
  const preselected =
    started?.kind === "checkout"
      ? "checkout"
      : (savedMethods.find(({ id }) => id === started?.params.payment_method)?.id ?? savedMethods[0]?.id ?? "new");
  const fields = h("div", { id: "payment-element", class: "stripe-fields" });
  const save = checkbox("save", "Save for next time", SAVE_HINT, started?.params.save_payment_method);
  const code = h("input", {
    id: "code",
    name: "code",
    maxlength: "200",
    autocomplete: "off",
    autocapitalize: "characters",
    spellcheck: "false",
    value: started?.params.code ?? "",
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

  function showChoice() {
    newPanel.hidden = choice() !== "new";
    checkoutPanel.hidden = choice() !== "checkout";
    button.textContent = choice() === "checkout" ? "Continue to Stripe" : `Pay ${price}`;
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
      element.addEventListener("submit", (event) => {
        event.preventDefault();
        const chosen = choice();
        if (chosen === "checkout") listener({ choice: chosen, code: code.value.trim() });
        else if (chosen === "new") listener({ choice: chosen, elements: card.elements(), save: save.input.checked });
        else listener({ choice: chosen, method: chosen });
      }),
  };
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

/** Stripe's Payment Element, created when it is first needed. Only Stripe sees what is typed in it. */
function cardFields(config, track, types, container, wantsSaving) {
  let elements, mounting;
  const usage = () => ({ setupFutureUsage: wantsSaving() ? "on_session" : null });

  async function mountOnce() {
    const stripe = await loadStripe(config);
    elements = stripe.elements({
      mode: "payment",
      amount: track.amount,
      currency: track.currency,
      allowedPaymentMethodTypes: types,
      appearance: appearance(),
      ...usage(),
    });
    const element = elements.create("payment");
    await new Promise((resolve, reject) => {
      element.on("ready", resolve);
      element.on("loaderror", ({ error }) => reject(new Error(error.message)));
      element.mount(container);
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () =>
      elements.update({ appearance: appearance() }),
    );
  }

  return {
    mount: () =>
      (mounting ??= mountOnce().catch((error) => {
        mounting = undefined;
        throw error;
      })),
    elements: () => elements,
    updateUsage: () => elements?.update(usage()),
  };
}
