// The forms of payment plans: begin one, pay installments, or choose another payment method.
import { announce, h, icon } from "../shared/dom.js";
import { texts } from "./text.js";

const words = texts.plan_form;

/**
 * `{element, onSubmit(listener), isBusy(), setBusy(busy), showError(text)}`: the ways to pay, more `parts` below them, and
 * the button. `label(choice)` and `busyLabel(choice)` are its texts. The listener receives the choice of the ways, once
 * `mayPay()` is true.
 */
export function planForm({ buildWays, parts = [], label, busyLabel, mayPay = () => true }) {
  const errorBox = h("div", { role: "alert" });
  const button = h("button", { type: "submit", class: "wide" });
  const showError = (text) =>
    errorBox.replaceChildren(...(text ? [h("p", { class: "error" }, icon("alert"), text)] : []));
  const showLabel = () => {
    button.textContent = label(ways.choice());
  };
  const ways = buildWays({
    onChange() {
      showLabel();
      showError("");
    },
    onError: showError,
  });
  const secure = h("p", { class: "small secure" }, icon("shield"), words.secure);
  const element = h("form", { class: "pay", novalidate: true }, ways.element, ...parts, errorBox, button, secure);
  const isBusy = () => button.getAttribute("aria-busy") === "true";
  showLabel();
  return {
    element,
    isBusy,
    showError,
    setBusy(busy) {
      button.setAttribute("aria-busy", String(busy));
      if (!busy) return showLabel();
      showError("");
      button.textContent = busyLabel(ways.choice());
      return announce(button.textContent);
    },
    onSubmit: (listener) =>
      element.addEventListener("submit", (event) => {
        event.preventDefault();
        if (!isBusy() && mayPay()) listener(ways.choice());
      }),
  };
}
