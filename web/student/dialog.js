// A confirmation before an action that cannot be undone.
import { explain, reportSessionExpired } from "../shared/api.js";
import { openModal } from "../shared/dialog.js";
import { h, note } from "../shared/dom.js";
import { texts } from "./text.js";

const words = texts.dialog;
const sentence = (error) => [h("p", {}, explain(error))];

/** The texts typed in dialogs that were closed without submitting them, by the `draft` of the dialog. */
const drafts = new Map();

const textFields = (form) => [...form.elements].filter(({ type }) => ["text", "textarea"].includes(type));

/**
 * Ask for confirmation. On `confirmText` run `work(formData)` and close the dialog, then call `onDone` with the result of
 * `work`, which may move the focus. If `work` throws, show the error in the dialog. Escape, Back and `cancelText` close
 * the dialog and change nothing, except while `work` is running. The next dialog with the same `draft` has the text that
 * was typed. `describe(error)` is the error as elements. `onClose` is called whenever the dialog has closed.
 */
export function confirm(options) {
  const { title, content, confirmText, cancelText = words.keep, work, describe = sentence, draft } = options;
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
  for (const [name, value] of drafts.get(draft) ?? []) form.elements[name].value = value;
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (isBusy()) return;
    submit.setAttribute("aria-busy", "true");
    error.replaceChildren();
    let result;
    try {
      result = await work(new FormData(form));
    } catch (failure) {
      if (reportSessionExpired(failure)) close();
      else error.replaceChildren(note("bad", ...describe(failure)));
      return;
    } finally {
      submit.removeAttribute("aria-busy");
    }
    form.reset();
    close();
    options.onDone?.(result);
  });
  window.addEventListener("hashchange", close);
  dialog.addEventListener("close", () => {
    if (draft) drafts.set(draft, textFields(form).map(({ name, value }) => [name, value]));
    window.removeEventListener("hashchange", close);
    dialog.remove();
    options.onClose?.();
  });
  document.body.append(dialog);
  openModal(dialog, { close, isBusy });
}
