// The form of the buying view: a saved method, Stripe's fields, or Stripe's own page.
import { announce, h, icon } from "../shared/dom.js";
import { expiry, method, money } from "../shared/format.js";
import { appearance, stripe } from "./stripe.js";

/**
 * `{element, onSubmit(f), busy(b), working(), fail(text, field)}`; f gets `{way, method, elements, save, code}`.
 * `begun` is how an open payment was begun, to be taken up the same way.
 */
export function build({ track, saved, config, begun, types }) {
  const price = money(track.amount, track.currency);
  const first =
    begun?.kind === "checkout"
      ? "checkout"
      : (saved.find((one) => one.id === begun?.wish.payment_method)?.id ?? saved[0]?.id ?? "new");
  const fields = h("div", { id: "payment-element", class: "stripe-fields" });
  const save = check(
    "save",
    "Save for next time",
    "With your consent Stripe keeps it for your next purchase here. You can remove it under Cards.",
    begun?.wish.save_payment_method,
  );
  const code = h("input", {
    id: "code",
    name: "code",
    maxlength: "200",
    autocomplete: "off",
    autocapitalize: "characters",
    spellcheck: "false",
    value: begun?.wish.code ?? "",
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
  const trouble = h("div", { role: "alert" });
  const button = h("button", { type: "submit", class: "wide" });
  const element = h(
    "form",
    { class: "pay", novalidate: true },
    h(
      "fieldset",
      {},
      h("legend", {}, "How do you want to pay?"),
      saved.map((one) => way(one.id, first, "card", method(one), expiry(one) && `expires ${expiry(one)}`)),
      way("new", first, "card", types.includes("us_bank_account") ? "Card or US bank account" : "Card", "on this page"),
      newPanel,
      way("checkout", first, "out", "Stripe’s own page", "also with a promotion code"),
      checkoutPanel,
    ),
    trouble,
    button,
    h("p", { class: "small secure" }, icon("shield"), "Your card’s number goes to Stripe only, never to the school."),
  );
  const chosen = () => element.elements.way.value;
  const card = cardFields(config, track, types, fields, () => save.input.checked);

  function choose() {
    newPanel.hidden = chosen() !== "new";
    checkoutPanel.hidden = chosen() !== "checkout";
    button.textContent = chosen() === "checkout" ? "Continue to Stripe" : `Pay ${price}`;
    trouble.replaceChildren();
    if (chosen() === "new") card.mount().catch((error) => fail(error.message));
  }

  function fail(text, field) {
    const there = field === "code";
    codeError.textContent = there ? text : "";
    code.setAttribute("aria-invalid", String(there));
    trouble.replaceChildren(...(there ? [] : [h("p", { class: "error" }, icon("alert"), text)]));
    if (there) {
      announce(text);
      code.focus();
    }
  }

  element.addEventListener("change", ({ target }) => target.name === "way" && choose());
  save.input.addEventListener("change", card.consent);
  choose();
  return {
    element,
    fail,
    working: () => button.getAttribute("aria-busy") === "true",
    busy: (on) => {
      button.setAttribute("aria-busy", String(on));
      if (on) fail("");
      if (on) trouble.replaceChildren();
    },
    onSubmit: (listener) =>
      element.addEventListener("submit", (event) => {
        event.preventDefault();
        const at = chosen();
        if (at === "checkout") listener({ way: at, code: code.value.trim() });
        else if (at === "new") listener({ way: at, elements: card.elements(), save: save.input.checked });
        else listener({ way: at, method: at });
      }),
  };
}

function way(value, first, drawing, text, more) {
  return h(
    "label",
    { class: "way" },
    h("input", { type: "radio", name: "way", value, checked: value === first }),
    icon(drawing),
    h(
      "span",
      { class: "grow" },
      h("span", { class: "strong" }, text),
      more && h("span", { class: "small" }, ` ${more}`),
    ),
  );
}

function check(id, text, more, checked) {
  const input = h("input", {
    type: "checkbox",
    id,
    name: id,
    checked: Boolean(checked),
    "aria-describedby": `${id}-more`,
  });
  return {
    input,
    element: h(
      "div",
      { class: "check" },
      input,
      h("div", {}, h("label", { for: id }, text), h("p", { class: "small", id: `${id}-more` }, more)),
    ),
  };
}

/** Stripe's Payment Element, made when it is first needed; what is typed in it is Stripe's alone. */
function cardFields(config, track, types, place, saving) {
  let elements, mounting;
  const usage = () => ({ setupFutureUsage: saving() ? "on_session" : null });

  async function mountOnce() {
    const library = await stripe(config);
    elements = library.elements({
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
      element.mount(place);
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
    consent: () => elements?.update(usage()),
  };
}
