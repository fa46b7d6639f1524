// The promotion code of an order: a field with Apply, and the code that is applied.
import { explain, Problem, SessionExpired } from "../shared/api.js";
import { action, announce, h, showFieldError } from "../shared/dom.js";
import { money } from "../shared/format.js";
import * as api from "./api.js";
import { texts } from "./text.js";

const words = texts.promotion_code;

/** Refusals that are about the purchase and not about the code. The whole view explains them. */
const ABOUT_THE_PURCHASE = new Set(["already-enrolled", "purchases-blocked", "not-selling"]);

/**
 * `{element, applied(), isTyped(), apply(), refuse(text)}`. `applied` is `{code, discount, amount}` of the order, or
 * undefined. `typed` is a code to begin with that is not applied. `onChange` is called after each change. `apply`
 * returns whether the typed code is applied now; `onError` receives what is not about the code. `refuse` takes the code
 * back with the reason: it may have ended since it was applied.
 */
export function promotionCode({ track, applied, typed = "", onChange, onError }) {
  const input = h("input", {
    id: "code",
    maxlength: "200",
    autocomplete: "off",
    autocapitalize: "characters",
    spellcheck: "false",
    value: typed,
    "aria-describedby": "code-error",
  });
  const error = h("p", { class: "error", id: "code-error" });
  const button = action(words.apply, async () => (await apply()) && element.querySelector("button").focus(), {
    class: "quiet",
  });
  const form = h("form", { novalidate: true }, h("label", { for: "code" }, words.label), h("div", {}, input, button), error);
  const field = h("details", { class: "code", open: Boolean(typed) }, h("summary", {}, words.add), form);
  const element = h("div", {});

  function render() {
    element.replaceChildren(applied ? appliedLine() : field);
  }

  function appliedLine() {
    const name = words.remove_named(applied.code);
    return h(
      "div",
      { class: "row spread applied" },
      h("p", { class: "small" }, words.line(applied.code)),
      h("button", { type: "button", class: "quiet small", "aria-label": name, onclick: remove }, words.remove),
      h("p", { class: "small" }, money(-applied.discount, track.currency)),
    );
  }

  function set(discount) {
    applied = discount;
    render();
    onChange();
  }

  function remove() {
    input.value = "";
    set(undefined);
    field.open = true;
    input.focus();
    announce(words.removed(money(track.amount, track.currency)));
  }

  function showError(text) {
    if (text) field.open = true;
    showFieldError(input, error, text);
  }

  async function apply() {
    const code = input.value.trim();
    if (!code) {
      showError(words.missing);
      return false;
    }
    showError("");
    announce(words.checking);
    try {
      const { promotion_code: name, discount, amount } = await api.previewPromotionCode(track.track, code);
      if (input.value.trim() !== code) return false;
      set({ code: name, discount, amount });
    } catch (failure) {
      if (failure instanceof SessionExpired) throw failure;
      if (failure instanceof Problem && ABOUT_THE_PURCHASE.has(failure.type)) await onError(failure);
      else showError(explain(failure));
      return false;
    }
    announce(words.applied(applied.code, money(applied.amount, track.currency)));
    return true;
  }

  input.addEventListener("input", () => showError(""));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    button.click();
  });
  render();
  return {
    element,
    applied: () => applied,
    isTyped: () => !applied && input.value.trim() !== "",
    apply,
    refuse(text) {
      if (applied) input.value = applied.code;
      set(undefined);
      showError(text);
    },
  };
}
