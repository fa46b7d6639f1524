// The result of a decision, above the view that it changed.
import { html, useLayoutEffect, useRef } from "./preact.js";

/**
 * `result` is `{ text, kind }` or undefined; kind is `good` or `warn`. The element is always there, because screen
 * readers announce only changes of a region that they know. With `takesFocus` it has the focus once the dialog is
 * closed: the button that opened the dialog may no longer exist.
 */
export function Result({ result, takesFocus = false }) {
  const element = useRef(null);
  const shown = useRef(undefined);
  useLayoutEffect(() => {
    if (shown.current === result || document.querySelector("dialog[open]")) return;
    shown.current = result;
    if (result && takesFocus) element.current.focus();
  });
  return html`<div role="status" tabindex="-1" ref=${element}>${result && html`<p class=${`note ${result.kind ?? "good"}`}>${result.text}</p>`}</div>`;
}
