// Deciding several items of a queue: one request per item, one after the other, each with its own outcome.
import { moneyWithCode } from "../shared/format.js";
import { explain, get, isUncertain, reportSessionExpired } from "./api.js";
import { Dialog } from "./dialog.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "./preact.js";
import { closeDialog } from "./route.js";

/** `{ key: details }` of these rows, read one after the other from their paths, and the error of the first failure. */
export function useDetails(rows, keyOf, pathOf) {
  const [state, set] = useState({ details: {} });
  useEffect(() => {
    let current = true;
    const load = async () => {
      try {
        for (const row of rows) {
          if (!current) return;
          const details = await get(pathOf(row));
          set((before) => ({ details: { ...before.details, [keyOf(row)]: details } }));
        }
      } catch (error) {
        if (!reportSessionExpired(error)) set((before) => ({ ...before, error }));
      }
    };
    load();
    return () => {
      current = false;
    };
  }, []);
  return state;
}

/** `1,497.00 USD`, or `998.00 USD and 100.00 EUR`: the sums of amounts by currency. */
export function totals(amounts) {
  const sums = new Map();
  for (const { amount, currency } of amounts) sums.set(currency, (sums.get(currency) ?? 0) + amount);
  return [...sums].map(([currency, amount]) => moneyWithCode(amount, currency)).join(" and ");
}

/** The refusals that concern one item only, such as another member of staff who was first: the others continue. */
const OF_ONE_ITEM = new Set([404, 409, 422]);
const SENDING = { text: "Sending…", kind: "busy", isOpen: true };

/** `{ text, kind, isOpen }`: the outcome of one item. An open item was not decided: no further item is sent after it. */
async function decide(item, send, check) {
  try {
    const sent = await send(item);
    return typeof sent === "string" ? { text: sent, kind: "good" } : sent;
  } catch (error) {
    if (reportSessionExpired(error)) return { text: "Not sent: your session has expired.", kind: "bad", isOpen: true };
    if (isUncertain(error)) return checked(item, check, explain(error));
    return { text: explain(error), kind: "bad", isOpen: !OF_ONE_ITEM.has(error.status) };
  }
}

/** The outcome of an item whose response was lost. The next item waits until a person has seen this. */
async function checked(item, check, problem) {
  try {
    const { text, final } = await check(item);
    return { text: `${problem} ${text}`, kind: final ? "good" : "bad", isOpen: !final, stop: true };
  } catch {
    return { text: `${problem} We don’t know yet whether it was done. It’s safe to try again.`, kind: "bad", isOpen: true };
  }
}

/**
 * A dialog that decides `items`, each `{ key, label, detail }`. `send(item)` sends one and returns its outcome as a
 * sentence, or `{ text, kind: "bad" }` if it did not help. `check(item)` finds out what happened after a lost response,
 * as in `ConfirmDialog`. The dialog stops at the first failure that is not about one item, and staff can continue with
 * the rest. Sending an item again must change nothing more. `problem` says what is missing before anything can be sent.
 * `done(keys, sentence)` reloads the view; `keys` are the items that were decided.
 */
export function BatchDialog({ title, consequence, confirmText, danger = false, problem = "", items, send, check, done, children }) {
  const [outcomes, setOutcomes] = useState({});
  const [phase, setPhase] = useState("asking"); // asking, running, stopped, finished
  const [error, setError] = useState("");
  const stopping = useRef(false);
  const running = useRef(false);
  const summary = useRef(null);
  const hasRun = phase === "stopped" || phase === "finished";
  const left = items.filter(({ key }) => !outcomes[key] || outcomes[key].isOpen);
  useLayoutEffect(() => {
    if (hasRun) summary.current.focus();
  }, [phase]);
  const run = async (event) => {
    event.preventDefault();
    if (running.current) return;
    setError(problem);
    if (problem) return;
    running.current = true;
    stopping.current = false;
    setPhase("running");
    let open = left.length;
    for (const item of left) {
      setOutcomes((before) => ({ ...before, [item.key]: SENDING }));
      const outcome = await decide(item, send, check);
      setOutcomes((before) => ({ ...before, [item.key]: outcome }));
      if (!outcome.isOpen) open -= 1;
      if (outcome.isOpen || outcome.stop || stopping.current) break;
    }
    running.current = false;
    setPhase(open ? "stopped" : "finished");
  };
  const decided = items.filter(({ key }) => outcomes[key]?.kind === "good");
  const close = () => {
    if (running.current) return;
    if (hasRun) done(decided.map(({ key }) => key), summaryOf(items, outcomes));
    closeDialog();
  };
  return html`<${Dialog} title=${title} onClose=${close}>
    <form onSubmit=${run} aria-busy=${phase === "running" ? "true" : "false"}>
      <ol class="batch" tabindex="0" aria-label="Selected">${items.map((item) => html`<${Item} key=${item.key} item=${item} outcome=${outcomes[item.key] ?? (hasRun ? { text: "Not sent", kind: "" } : undefined)} />`)}</ol>
      ${phase === "asking" && html`${children}<p class="says" aria-live="polite">${consequence}</p>`}
      <p class="error" role="alert">${error}</p>
      <div role="status" tabindex="-1" ref=${summary}>
        ${phase === "running" && html`<p class="says">${items.length - left.length} of ${items.length} sent…</p>`}
        ${hasRun && html`<p class=${`note ${decided.length === items.length ? "good" : "warn"}`}>${summaryOf(items, outcomes)}</p>`}</div>
      <div class="actions">
        ${phase === "running" && html`<button type="button" class="quiet" onClick=${() => (stopping.current = true)}>Stop after this one</button>`}
        ${phase === "asking" && html`<button type="button" class="quiet" onClick=${close}>Cancel</button>
          <button type="submit" class=${danger ? "danger" : ""}>${confirmText}</button>`}
        ${phase === "stopped" && html`<button type="submit" class=${danger ? "danger" : "quiet"}>Continue with ${left.length}</button>`}
        ${hasRun && html`<button type="button" onClick=${close}>Close</button>`}
      </div>
    </form>
  <//>`;
}

function Item({ item, outcome }) {
  const element = useRef(null);
  useLayoutEffect(() => {
    if (outcome?.text) element.current.scrollIntoView({ block: "nearest" });
  }, [outcome?.kind]);
  return html`<li ref=${element}><p><strong>${item.label}</strong>${item.detail && html` <span class="small">${item.detail}</span>`}</p>
    ${outcome && html`<p class=${`outcome ${outcome.kind}`}>${outcome.text}</p>`}</li>`;
}

/** "3 of 5 done, 1 failed, 1 not done." */
function summaryOf(items, outcomes) {
  const done = items.filter(({ key }) => outcomes[key]?.kind === "good").length;
  const open = items.filter(({ key }) => !outcomes[key] || outcomes[key].isOpen).length;
  const failed = items.length - done - open;
  const parts = [`${done} of ${items.length} done`, failed && `${failed} failed`, open && `${open} not done`];
  return `${parts.filter(Boolean).join(", ")}.`;
}
