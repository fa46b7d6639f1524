// Keyboard shortcuts. Single-key shortcuts can be turned off (WCAG 2.1.4), and never act in a text field.
import { Dialog } from "./dialog.js";
import { focusHeading } from "./focus.js";
import { html, useLayoutEffect, useState } from "./preact.js";
import { navigate } from "./route.js";

const DISABLED = "tuition.console.single-keys-disabled";
const VIEWS = {
  o: "overview",
  p: "payments",
  a: "attention",
  r: "refund-requests",
  d: "disputes",
  b: "books",
  q: "quarantine",
  e: "exports",
  s: "selling",
  t: "statement",
};
const SEQUENCE_MS = 1500;
let gPressedAt = 0;

const isTextField = (target) => target.closest("input, textarea, select, [contenteditable]");
const isDialogOpen = () => document.querySelector("dialog[open]");

/** Move the focus to the next or previous row of the list. Returns whether there is a list. */
function moveFocus(by) {
  const links = [...document.querySelectorAll("a.open")];
  const current = links.indexOf(document.activeElement?.closest("tr")?.querySelector("a.open"));
  links[Math.min(links.length - 1, Math.max(0, current + by))]?.focus();
  return links.length > 0;
}

function onKeyDown(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isDialogOpen()) return;
  const { key, target } = event;
  if (isTextField(target)) {
    if (key === "Escape") focusHeading();
    return;
  }
  if ((key === "ArrowDown" || key === "ArrowUp") && moveFocus(key === "ArrowDown" ? 1 : -1)) event.preventDefault();
  else if (key === "Escape") goUp(); // no character, so it acts even if single-key shortcuts are off
  else if (!localStorage.getItem(DISABLED)) onSingleKey(event);
}

const goUp = () => document.querySelector("a[data-up]")?.click();

function onSingleKey(event) {
  const { key } = event;
  const afterG = Date.now() - gPressedAt < SEQUENCE_MS;
  gPressedAt = key === "g" ? Date.now() : 0;
  if (afterG && VIEWS[key]) navigate([VIEWS[key]]);
  else if (key === "/") focusSearch(event);
  else if (key === "j" || key === "k") moveFocus(key === "j" ? 1 : -1);
  else if (key === "u") goUp();
  else if (key === "r") document.querySelector("button[data-shortcut=r]")?.click();
  else if (key === "?") window.dispatchEvent(new Event("show-shortcuts"));
}

/** Focus the search field, opening the payments list first if the view has none. */
function focusSearch(event) {
  event.preventDefault();
  const field = document.getElementById("q");
  if (field) field.select();
  else navigate(["payments"], { find: "1" });
}

export function useKeyboard() {
  useLayoutEffect(() => {
    document.addEventListener("keydown", onKeyDown);
    return () => document.removeEventListener("keydown", onKeyDown);
  }, []);
}

const SHORTCUTS = [
  ["/", "find a payment"],
  ["↓ ↑ or j k", "next, previous row"],
  ["Enter", "open the row"],
  ["Esc or u", "back to the list; leave a field; close a dialog"],
  ["r", "refund the open payment"],
  ["g o", "overview"],
  ["g p", "payments"],
  ["g a", "attention"],
  ["g r", "refund requests"],
  ["g d", "disputes"],
  ["g b", "books"],
  ["g q", "quarantine"],
  ["g e", "exports"],
  ["g s", "selling"],
  ["g t", "statement"],
  ["?", "show this help"],
];

/** The help, with a switch for the single-key shortcuts. */
export function ShortcutHelp({ close }) {
  const [disabled, setDisabled] = useState(Boolean(localStorage.getItem(DISABLED)));
  const toggle = () => {
    if (disabled) localStorage.removeItem(DISABLED);
    else localStorage.setItem(DISABLED, "1");
    setDisabled(!disabled);
  };
  return html`<${Dialog} title="Keyboard shortcuts" onClose=${close}>
    <dl class="keys">${SHORTCUTS.map(([key, effect]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${effect}</dd></div>`)}</dl>
    <label class="check"><input type="checkbox" checked=${!disabled} onChange=${toggle} /> Enable single-key shortcuts</label>
    <div class="actions"><button type="button" onClick=${close}>Close</button></div>
  <//>`;
}
