// Saved cards and bank accounts: see them, remove them.
import { explain } from "../shared/api.js";
import { announce, h, icon, note, show } from "../shared/dom.js";
import { expiry, method } from "../shared/format.js";
import { confirm } from "./dialog.js";
import * as school from "./school.js";

export async function cards({ main }) {
  const saved = await school.savedMethods();
  const place = h("div", {});
  show(
    main,
    "Saved cards",
    h("p", { class: "lead" }, "Stripe keeps them for your next purchase; the school sees no more than is shown here."),
    place,
  );
  list(place, saved);
}

function list(place, saved) {
  if (!saved.length) {
    place.replaceChildren(h("p", {}, "No card is saved. Tick “Save for next time” when you pay, and it will be here."));
    return;
  }
  place.replaceChildren(
    h(
      "ul",
      { class: "rows" },
      saved.map((one) => row(one, place)),
    ),
  );
}

function row(one, place) {
  const name = method(one);
  const until = expiry(one);
  const remove = h("button", { type: "button", class: "quiet", "aria-label": `Remove ${name}` }, "Remove");
  remove.addEventListener("click", () =>
    confirm({
      title: `Remove ${name}?`,
      content: h(
        "p",
        {},
        "It can no longer be used to pay here. Payments that were made with it are not changed, and refunds still reach it.",
      ),
      yes: "Remove it",
      work: async () => {
        await school.removeMethod(one.id);
        try {
          list(place, await school.savedMethods());
        } catch (error) {
          place.prepend(note("bad", h("p", {}, explain(error))));
        }
        announce(`${name} is removed.`);
        document.querySelector("h1").focus();
      },
    }),
  );
  return h(
    "li",
    {},
    icon("card"),
    h(
      "div",
      { class: "grow" },
      h("p", { class: "strong" }, name),
      until && h("p", { class: "small" }, `Expires ${until}`),
    ),
    remove,
  );
}
