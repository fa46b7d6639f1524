// A confirmation before an action that cannot be undone.
import { explain, reportSessionExpired } from "../shared/api.js";
import { openModal } from "../shared/dialog.js";
import { h, note } from "../shared/dom.js";
import { texts } from "./text.js";

const words = texts.dialog;

const sentence = (error) => [h("p", {}, explain(error))];

/**
 * Ask for confirmation. On `confirmText` run `work(formData)` and close the dialog; if `work` throws, show the error in
 * the dialog. Escape, Back and `cancelText` close the dialog and change nothing, except while `work` is running.
 * `describe(error)` is the error as elements. `onClose` is called whenever the dialog has closed.
 */
export function confirm({ title, content, confirmText, cancelText = words.keep, work, describe = sentence, onClose }) {
  const error = h("div", {});
  const submit = h("button", { type: "submit", class: "danger" }, confirmText);
  const isBusy = () => submit.getAttribute("aria-busy") === "true";
  const close = () => dialog.close();
  const cancel = h("button", { type: "button", class: "quiet", onclick: () => isBusy() || close() }, cancelText);
  const form = h(
    "form",
    {},
    h("h2", { id: "dialog-title" }, title),
    content,
    error,
    h("div", { class: "row end" }, cancel, submit),
  );
  const dialog = h("dialog", { "aria-labelledby": "dialog-title" }, form);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (isBusy()) return;
    submit.setAttribute("aria-busy", "true");
    error.replaceChildren();
    try {
      await work(new FormData(form));
      close();
    } catch (failure) {
      if (reportSessionExpired(failure)) close();
      else error.replaceChildren(note("bad", ...describe(failure)));
    } finally {
      submit.removeAttribute("aria-busy");
    }
  });
  window.addEventListener("hashchange", close);
  dialog.addEventListener("close", () => {
    window.removeEventListener("hashchange", close);
    dialog.remove();
    onClose?.();
  });
  document.body.append(dialog);
  openModal(dialog, { close, isBusy });
}
