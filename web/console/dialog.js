// A question before something happens to money or access, and a guard against doing it twice.
import { explain, left, lost } from "./api.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { close } from "./place.js";

/** A dialog that is there while the address says so. Escape and Cancel change nothing; the focus returns to where it was. */
export function Dialog({ title, onClose = close, children }) {
  const element = useRef(null);
  useEffect(() => {
    const { current } = element;
    current.showModal();
    return () => current.close(); // the browser gives the focus back
  }, []);
  const cancel = (event) => {
    event.preventDefault();
    onClose();
  };
  return html`<dialog ref=${element} aria-labelledby="dialog-title" onCancel=${cancel}>
    <h2 id="dialog-title">${title}</h2>
    ${children}
  </dialog>`;
}

/**
 * A form in a dialog that says what will happen, and does it once. `work()` sends, and cannot be called back; when its
 * answer is lost, `look()` finds out what has happened and returns it in words, with `over` where nothing is left to send.
 */
export function Decision({ title, says, yes, danger = false, ready = true, work, look, done, children }) {
  const busy = useRef(false);
  const [state, set] = useState({});
  const submit = async (event) => {
    event.preventDefault();
    if (busy.current || !ready) return;
    busy.current = true;
    set({ busy: true });
    try {
      done(await work());
      close();
    } catch (error) {
      if (left(error)) return;
      done(); // whoever was first, or whatever is so by now, is shown behind the dialog and in it
      set(lost(error) && look ? await found(look, error) : { error: explain(error) });
      busy.current = false;
    }
  };
  const cancel = () => busy.current || close();
  const over = () => {
    done();
    close();
  };
  return html`<${Dialog} title=${title} onClose=${cancel}>
    <form onSubmit=${submit} aria-busy=${state.busy ? "true" : "false"}>
      ${
        state.over
          ? html`<p class="note warn" role="alert">${state.over}</p>`
          : html`
        ${children}
        <p class="says" aria-live="polite">${says}</p>
        ${state.error && html`<p class="note bad" role="alert">${state.error}</p>`}`
      }
      <div class="actions">
        ${
          state.over
            ? html`<button type="button" onClick=${over}>Close</button>`
            : html`
          <button type="button" class="quiet" disabled=${state.busy} onClick=${cancel}>Cancel</button>
          <button type="submit" class=${danger ? "danger" : ""} aria-busy=${state.busy ? "true" : undefined} disabled=${!ready}>${yes}</button>`
        }
      </div>
    </form>
  <//>`;
}

/** What happened to a call whose answer was lost; where that cannot be found out either, it is said. */
async function found(look, error) {
  const said = explain(error);
  try {
    const { text, over } = await look();
    return over ? { over: `${said} ${text}` } : { error: `${said} ${text}` };
  } catch (again) {
    if (left(again)) return {};
    return { error: `${said} Whether it was done is not known yet: look at the payment again before you repeat it.` };
  }
}
