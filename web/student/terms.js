// The box before "Pay", by which the student agrees to the school's terms.
import { h, showFieldError } from "../shared/dom.js";
import { currentUser } from "../shared/session.js";
import { newTab } from "./school_links.js";
import { texts } from "./text.js";

const words = texts.terms;

/** The user, track and version of the agreement on this visit: a form that is shown again does not ask again. */
let agreement;

/**
 * `{element, version(), require(), replace(catalog)}`. The box is absent if the school has set no terms. `version` is
 * what the student agrees to, undefined without terms. `require` returns whether the student may pay; if the box is not
 * ticked, it shows the error there. `replace` shows the terms of another catalog, unticked.
 */
export function termsBox(track, catalog) {
  const element = h("div", { class: "terms" });
  const error = h("p", { class: "error", id: "terms-error" });
  const input = h("input", { type: "checkbox", id: "terms", "aria-describedby": "terms-error" });
  let version;
  const about = () => `${currentUser()?.sub} ${track.track} ${version}`;

  function render({ terms, privacy_url: privacy }) {
    version = terms?.version;
    input.checked = agreement === about();
    const link = terms?.url ? newTab(terms.url, words.link) : words.link;
    element.replaceChildren(
      ...(terms ? [h("label", { class: "check" }, input, h("span", {}, ...words.agree(link, version))), error] : []),
      ...(privacy ? [h("p", { class: "small" }, ...words.privacy(newTab(privacy, words.privacy_link)))] : []),
    );
  }

  const showError = (text) => showFieldError(input, error, text);

  input.addEventListener("change", () => {
    agreement = input.checked ? about() : undefined;
    showError("");
  });
  render(catalog);
  return {
    element,
    version: () => version,
    require() {
      const agreed = !version || input.checked;
      showError(agreed ? "" : words.required);
      return agreed;
    },
    replace(newCatalog) {
      render(newCatalog);
      showError(version ? words.changed : "");
    },
  };
}
