// Saved cards and bank accounts: view and remove them.
import { explain } from "../shared/api.js";
import { announce, h, icon, note, show } from "../shared/dom.js";
import { expiry, methodName } from "../shared/format.js";
import * as api from "./api.js";
import { confirm } from "./dialog.js";

export async function cardsView({ main }) {
  const methods = await api.listSavedMethods();
  const container = h("div", {});
  show(
    main,
    "Saved cards",
    h("p", { class: "lead" }, "Stored securely by Stripe for faster checkout. We only see what’s shown here."),
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
      : h("p", {}, "No saved cards. Tick “Save for next time” at checkout to add one."),
  );
}

function methodItem(method, container) {
  const name = methodName(method);
  const expires = expiry(method);
  const remove = () =>
    confirm({
      title: `Remove ${name}?`,
      content: h(
        "p",
        {},
        "You won’t be able to pay with it here anymore. Your past payments don’t change, and refunds still go back to it.",
      ),
      confirmText: "Remove",
      work: async () => {
        await api.removeSavedMethod(method.id);
        try {
          renderMethods(container, await api.listSavedMethods());
        } catch (error) {
          container.prepend(note("bad", h("p", {}, explain(error))));
        }
        announce(`Removed ${name}.`);
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
      expires && h("p", { class: "small" }, `Expires ${expires}`),
    ),
    h("button", { type: "button", class: "quiet", "aria-label": `Remove ${name}`, onclick: remove }, "Remove"),
  );
}
