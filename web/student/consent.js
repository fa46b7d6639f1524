// The text of a payment plan, and the box by which the student agrees to it.
import { h, showFieldError } from "../shared/dom.js";
import { texts } from "./text.js";

const words = texts.consent;

/**
 * `{element, version(), require(), replace(consent)}`. `consent` is an offer's `{version, text}`. `require` returns
 * whether the student has agreed; if not, it shows the error at the box. `replace` shows another text, unticked.
 */
export function consentBox(consent) {
  const input = h("input", { type: "checkbox", id: "consent", "aria-describedby": "consent-error" });
  const error = h("p", { class: "error", id: "consent-error" });
  const paragraphs = h("div", { class: "small" });
  const showError = (text) => showFieldError(input, error, text);
  let version;

  function render(current) {
    version = current.version;
    input.checked = false;
    paragraphs.replaceChildren(...current.text.split("\n").map((paragraph) => h("p", {}, paragraph)));
  }

  input.addEventListener("change", () => showError(""));
  render(consent);
  return {
    element: h(
      "section",
      { class: "consent", "aria-labelledby": "consent-title" },
      h("h3", { id: "consent-title" }, words.title),
      paragraphs,
      h("label", { class: "check" }, input, h("span", {}, words.agree)),
      error,
    ),
    version: () => version,
    require() {
      showError(input.checked ? "" : words.required);
      return input.checked;
    },
    replace(current) {
      render(current);
      showError(words.changed);
    },
  };
}
