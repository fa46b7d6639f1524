// The ways to pay, as one flat list: saved methods, each kind of new method, and Stripe Checkout.
import { h, icon } from "../shared/dom.js";
import { expiry, methodName, sentenceCase } from "../shared/format.js";
import { methodFields } from "./card_fields.js";
import { texts } from "./text.js";

const words = texts.ways;
const CHECKOUT = "checkout";

/** The types of payment methods that can be charged without their owner, as `payments/opening.py` has them. */
const REUSABLE = new Set([
  ...["card", "link", "acss_debit", "au_becs_debit", "bacs_debit", "nz_bank_account", "sepa_debit", "us_bank_account"],
]);

/**
 * `{element, choice(), showOnlyCheckout(reasons)}`. `choice` is `{kind: "checkout"}`, `{kind: "saved", method}` or
 * `{kind: "new", elements, save}`. With `reasons`, which are sentences, the list has Stripe Checkout alone and says why.
 * `started` has the choices of an open payment, as the API names them, so that the list offers the same way to pay.
 * `onChange` is called after each choice, and `onError` receives why Stripe's fields could not be loaded.
 *
 * `charge` is the `{amount, currency}` to pay. `kept` is for the payments of a plan, whose method is kept without a box:
 * `{mode, usage, checkout}`, with the mode and the usage as `methodFields` takes them, and whether Checkout is a way.
 */
export function waysToPay({ charge, started, config, kept, onChange, onError, ...options }) {
  const hasCheckout = kept?.checkout ?? true;
  const types = kept ? options.types.filter((type) => REUSABLE.has(type)) : options.types;
  const savedMethods = kept ? options.savedMethods.filter(({ type }) => REUSABLE.has(type)) : options.savedMethods;
  const fields = new Map(types.filter((type) => type !== "link").map((type) => [type, newMethod(type)]));
  const savedIds = savedMethods.map(({ id }) => id);
  const [firstType] = fields.keys();
  let preferred = savedIds.find((id) => id === started?.payment_method) ?? savedIds[0] ?? firstType ?? CHECKOUT;
  if (hasCheckout && started?.kind === CHECKOUT) preferred = CHECKOUT;
  const elsewhere = h(
    "div",
    {},
    savedMethods.map((method) =>
      option(method.id, preferred, "card", methodName(method), expiry(method) && words.expires(expiry(method))),
    ),
    [...fields].flatMap(([type, { panel }]) => [
      option(type, preferred, type === "card" ? "card" : "bank", words.types[type] ?? sentenceCase(type)),
      panel,
    ]),
  );
  const why = h("div", { class: "small why-checkout" });
  const element = h(
    "fieldset",
    {},
    h("legend", {}, kept?.mode === "setup" ? words.method_legend : words.legend),
    elsewhere,
    hasCheckout && option(CHECKOUT, preferred, "out", words.checkout, words.checkout_hint),
    why,
  );

  const chosen = () => element.querySelector(":checked").value;
  const select = (value) => {
    element.querySelector(`input[value="${CSS.escape(value)}"]`).checked = true;
  };

  function newMethod(type) {
    const container = h("div", { class: "stripe-fields" });
    const intent = kept?.mode === "setup" ? { mode: "setup", currency: charge.currency } : { mode: "payment", ...charge };
    if (kept) {
      const stripeFields = methodFields(config, intent, type, container, () => kept.usage);
      return { panel: h("div", { class: "more" }, container), stripeFields };
    }
    const input = h("input", { type: "checkbox", id: `save-${type}`, "aria-describedby": `save-${type}-hint` });
    input.checked = started?.kind === "intent" && Boolean(started.save_payment_method);
    const stripeFields = methodFields(config, intent, type, container, () => (input.checked ? "on_session" : null));
    input.addEventListener("change", stripeFields.updateUsage);
    const save = [
      h("label", { class: "check" }, input, words.save),
      h("p", { class: "small hint", id: `save-${type}-hint` }, words.save_hint),
    ];
    return { panel: h("div", { class: "more" }, container, ...save), stripeFields, input };
  }

  function showChoice() {
    const value = chosen();
    for (const [type, { panel }] of fields) panel.hidden = type !== value;
    fields
      .get(value)
      ?.stripeFields.mount()
      .catch((error) => onError(error.message));
  }

  element.addEventListener("change", ({ target }) => {
    if (target.type !== "radio") return;
    preferred = target.value;
    showChoice();
    onChange();
  });
  showChoice();
  return {
    element,
    choice() {
      const value = chosen();
      if (value === CHECKOUT) return { kind: CHECKOUT };
      const method = fields.get(value);
      if (!method) return { kind: "saved", method: value };
      return { kind: "new", elements: method.stripeFields.elements(), save: method.input?.checked };
    },
    showOnlyCheckout(reasons) {
      elsewhere.hidden = reasons.length > 0;
      why.replaceChildren(...reasons.map((reason) => h("p", {}, reason)));
      select(reasons.length ? CHECKOUT : preferred);
      showChoice();
    },
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
