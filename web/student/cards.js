// Saved cards and bank accounts: view and remove them.
import { explain, Problem } from "../shared/api.js";
import { announce, h, icon, note, show } from "../shared/dom.js";
import { expiry, methodName } from "../shared/format.js";
import * as api from "./api.js";
import { confirm } from "./dialog.js";
import { texts } from "./text.js";

const words = texts.cards;

export async function cardsView({ main }) {
  const methods = await api.listSavedMethods();
  const container = h("div", {});
  show(
    main,
    words.title,
    h("p", { class: "lead" }, words.lead),
    container,
  );
  renderMethods(container, methods);
}

function renderMethods(container, methods) {
  container.replaceChildren(
    methods.length
      ? h(
          "ul",
          { class: "rows" },
          methods.map((method) => methodItem(method, container)),
        )
      : h("p", {}, words.empty),
  );
}

/** Why a method was not removed, as elements. That of a payment plan can be replaced on the plan's page. */
function refusal(error) {
  const isInUse = error instanceof Problem && error.type === "payment-method-in-use";
  if (!isInUse || !error.planId) return [h("p", {}, explain(error))];
  return [h("p", {}, words.in_use), h("p", {}, h("a", { href: `#/plans/${error.planId}/method` }, words.choose_another))];
}

function methodItem(method, container) {
  const name = methodName(method);
  const expires = expiry(method);
  const remove = () =>
    confirm({
      title: words.remove_title(name),
      content: h("p", {}, words.consequence),
      confirmText: words.remove,
      describe: refusal,
      work: async () => {
        await api.removeSavedMethod(method.id);
        try {
          renderMethods(container, await api.listSavedMethods());
        } catch (error) {
          container.prepend(note("bad", h("p", {}, explain(error))));
        }
      },
      onDone: () => {
        announce(words.removed(name));
        document.querySelector("h1").focus();
      },
    });
  return h(
    "li",
    {},
    icon("card"),
    h(
      "div",
      { class: "grow" },
      h("p", { class: "strong" }, name),
      expires && h("p", { class: "small" }, words.expires(expires)),
    ),
    h("button", { type: "button", class: "quiet", "aria-label": words.remove_named(name), onclick: remove }, words.remove),
  );
}
