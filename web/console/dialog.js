// Dialogs: a confirmation before money or access changes, and a guard against sending it twice.
import { openModal } from "../shared/dialog.js";
import { explain, isUncertain, reportSessionExpired } from "./api.js";
import { html, useLayoutEffect, useRef, useState } from "./preact.js";
import { closeDialog } from "./route.js";

/** A dialog that stays open while the address names it. Escape and Cancel change nothing. */
export function Dialog({ title, onClose = closeDialog, children }) {
  const element = useRef(null);
  const latest = useRef(onClose); // Escape closes the dialog as it is now, not as it was when it opened
  latest.current = onClose;
  useLayoutEffect(() => {
    const { current } = element;
    openModal(current, { close: () => latest.current() });
    return () => current.close();
  }, []);
  return html`<dialog ref=${element} aria-labelledby="dialog-title">
    <h2 id="dialog-title">${title}</h2>
    ${children}
  </dialog>`;
}

/**
 * A form in a dialog that states its consequence and is sent once. It is sent if it is `ready`, else it says what is
 * `missing`. `submit()` sends it and returns a message; it cannot be canceled. If its response is lost, `check()` finds out what happened and returns `{ text, final }`, with `final`
 * if there is nothing left to send. `done(message)` reloads the view behind the dialog.
 */
export function ConfirmDialog(props) {
  const { title, consequence, confirmText, danger = false, ready = true, missing = "", submit, check, done, children } = props;
  const busy = useRef(false);
  const [state, set] = useState({});
  const send = async (event) => {
    event.preventDefault();
    if (busy.current) return;
    if (!ready) {
      set({ error: missing });
      event.target.querySelector("[aria-invalid=true]")?.focus();
      return;
    }
    busy.current = true;
    set({ busy: true });
    try {
      done(await submit());
      closeDialog();
    } catch (error) {
      if (reportSessionExpired(error)) return;
      done(); // another member of staff may have been first: show the current state behind the dialog and in it
      set(isUncertain(error) && check ? await outcome(check, error) : { error: explain(error) });
      busy.current = false;
    }
  };
  const cancel = () => busy.current || closeDialog();
  const close = () => {
    done();
    closeDialog();
  };
  return html`<${Dialog} title=${title} onClose=${cancel}>
    <form onSubmit=${send} aria-busy=${state.busy ? "true" : "false"}>
      ${
        state.final
          ? html`<p class="note warn" role="alert">${state.final}</p>`
          : html`
        ${children}
        <p class="says" aria-live="polite">${consequence}</p>
        ${state.error && html`<p class="note bad" role="alert">${state.error}</p>`}`
      }
      <div class="actions">
        ${
          state.final
            ? html`<button type="button" onClick=${close}>Close</button>`
            : html`
          <button type="button" class="quiet" disabled=${state.busy} onClick=${cancel}>Cancel</button>
          <button type="submit" class=${danger ? "danger" : ""} aria-busy=${state.busy ? "true" : undefined} aria-disabled=${ready ? undefined : "true"}>${confirmText}</button>`
        }
      </div>
    </form>
  <//>`;
}

/** Find out what a call did whose response was lost. */
async function outcome(check, error) {
  const problem = explain(error);
  try {
    const { text, final } = await check();
    return final ? { final: `${problem} ${text}` } : { error: `${problem} ${text}` };
  } catch (failure) {
    if (reportSessionExpired(failure)) return {};
    return { error: `${problem} We don’t know yet whether it was done. Check the payment before you try again.` };
  }
}

const MAX_LENGTH = 500;

/** A text field of a dialog. */
export function TextField({ id, label, hint, text, write, required = false }) {
  return html`<label for=${id}>${label}${!required && html`<span class="small"> (optional)</span>`}</label>
    <textarea id=${id} rows="2" maxlength=${MAX_LENGTH} required=${required} value=${text} onInput=${(event) => write(event.target.value)} aria-describedby=${hint ? `${id}-hint` : undefined}></textarea>
    ${hint && html`<p class="small" id=${`${id}-hint`}>${hint}</p>`}`;
}
