// Working a queue: choosing several of its rows, and the focus on the next row once one is decided.
import { html, useLayoutEffect, useRef, useState } from "./preact.js";

/**
 * The state of a queue. `rows` are its rows as `[{ key, canChoose }]`, in their order. `list` is what `useResponse`
 * returned for them. `onDone` is called before the list is loaded again. The rows of the table have `data-row` with
 * their key, and in it `data-next` on what takes the focus.
 */
export function useQueue(rows, list, onDone) {
  const version = list.response;
  const [result, setResult] = useState(undefined);
  const [picked, setPicked] = useState(new Set());
  const [hint, setHint] = useState("");
  const pending = useRef(null);
  const choosable = rows.filter(({ canChoose }) => canChoose).map(({ key }) => key);
  const chosen = choosable.filter((key) => picked.has(key));
  const write = (keys) => {
    setHint("");
    setPicked(new Set(keys));
  };
  useLayoutEffect(() => {
    const { current } = pending;
    if (!current || current.version === version || document.querySelector("dialog[open]")) return;
    pending.current = null;
    focusFirstOf(current.candidates);
  });
  /** These rows are decided: once the list is loaded again, the focus goes to the row after them. */
  const decided = (keys) => {
    write([]);
    const all = rows.map(({ key }) => key);
    const last = Math.max(...keys.map((key) => all.indexOf(key)));
    pending.current = { version, candidates: [...all.slice(last + 1), ...all.slice(0, last).reverse()].filter((key) => !keys.includes(key)) };
  };
  return {
    chosen,
    hint,
    result,
    setResult,
    decided,
    /** Show what came of a dialog about these rows, if it says anything, and load the list again. */
    done: (keys, text, kind) => {
      if (text) setResult({ text, kind });
      if (keys.length) decided(keys);
      onDone?.();
      list.reload();
    },
    isChosen: (key) => picked.has(key),
    areAllChosen: choosable.length > 0 && chosen.length === choosable.length,
    toggle: (key) => write(picked.has(key) ? chosen.filter((one) => one !== key) : [...chosen, key]),
    toggleAll: () => write(chosen.length === choosable.length ? [] : choosable),
    /** Call `act` if a row is chosen, else say what is missing. */
    withChosen: (act) => (chosen.length ? act() : setHint("Select at least one row first.")),
  };
}

/** Focus the first of these rows that is in the table, else the heading of the view. */
function focusFirstOf(keys) {
  const rows = new Map([...document.querySelectorAll("tr[data-row]")].map((row) => [row.dataset.row, row]));
  const row = keys.map((key) => rows.get(key)).find(Boolean);
  (row?.querySelector("[data-next]") ?? row?.querySelector("a.open") ?? document.querySelector("h1"))?.focus();
}

/** Above a queue: how many rows are chosen, and the buttons that decide them. */
export function QueueBar({ queue, children }) {
  const { chosen, hint } = queue;
  return html`<div class="queue-bar">
    <p role="status" class=${hint ? "error" : ""}>${hint || (chosen.length ? `${chosen.length} selected` : "Select rows to decide several at once.")}</p>
    <span class="grow"></span>${children}</div>`;
}

/** The heading of the column with the boxes. */
export function ChooseAll({ queue }) {
  return html`<th scope="col" class="pick"><label><input type="checkbox" aria-label="Select all rows shown" checked=${queue.areAllChosen} onChange=${queue.toggleAll} /></label></th>`;
}

/** The box of a row; `name` says which row it is. */
export function Choose({ queue, row, name }) {
  return html`<td class="pick">${row.canChoose && html`<label><input type="checkbox" aria-label=${`Select ${name}`} checked=${queue.isChosen(row.key)} onChange=${() => queue.toggle(row.key)} /></label>`}</td>`;
}
