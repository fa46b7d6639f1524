// The keyboard. Single keys can be switched off (WCAG 2.1.4), and never act while somebody types.
import { html, useEffect, useState } from "./html.js";
import { Dialog } from "./dialog.js";
import { go } from "./place.js";

const OFF = "tuition.console.keys-off";
const PLACES = { p: "payments", a: "attention", d: "disputes", q: "quarantine", e: "exports" };
let since = 0;

const typing = (target) => target.closest("input, textarea, select, [contenteditable]");
const modal = () => document.querySelector("dialog[open]");
const rows = () => [...document.querySelectorAll("a.open")];

/** Move the focus along the links of the list's rows. */
function step(by) {
  const found = rows();
  const at = found.indexOf(document.activeElement?.closest("tr")?.querySelector("a.open"));
  found[Math.min(found.length - 1, Math.max(0, at + by))]?.focus();
  return found.length > 0;
}

function press(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || modal()) return;
  const { key, target } = event;
  if (typing(target)) {
    if (key === "Escape") target.blur();
    return;
  }
  if ((key === "ArrowDown" || key === "ArrowUp") && step(key === "ArrowDown" ? 1 : -1)) event.preventDefault();
  else if (!localStorage.getItem(OFF)) single(event);
}

function single(event) {
  const { key } = event;
  const going = Date.now() - since < 1500;
  since = key === "g" ? Date.now() : 0;
  if (going && PLACES[key]) go([PLACES[key]]);
  else if (key === "/") find(event);
  else if (key === "j" || key === "k") step(key === "j" ? 1 : -1);
  else if (key === "Escape" || key === "u") document.querySelector("a[data-up]")?.click();
  else if (key === "r") document.querySelector("button[data-key=r]")?.click();
  else if (key === "?") window.dispatchEvent(new Event("help"));
}

/** The search, of this view or of the list of payments. */
function find(event) {
  event.preventDefault();
  const field = document.getElementById("q");
  if (field) field.select();
  else go(["payments"], { find: "1" });
}

export function useKeys() {
  useEffect(() => {
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, []);
}

const HELP = [
  ["/", "find a payment"],
  ["↓ ↑ or j k", "next, previous row"],
  ["Enter", "open it"],
  ["Esc or u", "back to the list; leave a field; close a dialog"],
  ["r", "refund the payment that is open"],
  ["g p", "payments"],
  ["g a", "attention"],
  ["g d", "disputes"],
  ["g q", "quarantine"],
  ["g e", "exports"],
  ["?", "this help"],
];

/** `?`: the keys, and a switch for those that are single characters. */
export function Help({ close }) {
  const [off, set] = useState(Boolean(localStorage.getItem(OFF)));
  const toggle = () => {
    if (off) localStorage.removeItem(OFF);
    else localStorage.setItem(OFF, "1");
    set(!off);
  };
  return html`<${Dialog} title="Keys" onClose=${close}>
    <dl class="keys">${HELP.map(([key, what]) => html`<div key=${key}><dt><kbd>${key}</kbd></dt><dd>${what}</dd></div>`)}</dl>
    <label class="check"><input type="checkbox" checked=${!off} onChange=${toggle} /> Keys of a single character act</label>
    <div class="actions"><button type="button" onClick=${close}>Close</button></div>
  <//>`;
}
