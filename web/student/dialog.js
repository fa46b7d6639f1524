// A question before something that cannot be taken back.
import { explain, SignedOut } from "../shared/api.js";
import { h, note } from "../shared/dom.js";

/**
 * Ask; on yes do `work(form)` and close. What goes wrong is said in the dialog, which stays. Escape, Back and "Keep"
 * leave everything as it is, and the focus returns to where it was; while it works there is nothing to keep any more.
 */
export function confirm({ title, content, yes, no = "Keep it", work }) {
  const trouble = h("div", {});
  const sure = h("button", { type: "submit", class: "danger" }, yes);
  const form = h(
    "form",
    {},
    h("h2", { id: "dialog-title" }, title),
    content,
    trouble,
    h(
      "div",
      { class: "row end" },
      h("button", { type: "button", class: "quiet", onclick: () => working() || dialog.close() }, no),
      sure,
    ),
  );
  const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, form);
  const working = () => sure.getAttribute("aria-busy") === "true";
  const close = () => dialog.close();
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (working()) return;
    sure.setAttribute("aria-busy", "true");
    trouble.replaceChildren();
    try {
      await work(new FormData(form));
      dialog.close();
    } catch (error) {
      if (error instanceof SignedOut) {
        dialog.close();
        window.dispatchEvent(new CustomEvent("signed-out", { detail: error }));
        return;
      }
      trouble.replaceChildren(note("bad", h("p", {}, explain(error))));
    } finally {
      sure.removeAttribute("aria-busy");
    }
  });
  dialog.addEventListener("cancel", (event) => working() && event.preventDefault());
  window.addEventListener("hashchange", close);
  dialog.addEventListener("close", () => {
    window.removeEventListener("hashchange", close);
    dialog.remove();
  });
  document.body.append(dialog);
  dialog.showModal();
}
