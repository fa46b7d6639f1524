// Calls to the staff API (docs/api.md), a hook that loads a response, and drafts of typed text.
import { call, explain, Offline, Problem, reportSessionExpired } from "../shared/api.js";
import { useEffect, useRef, useState } from "./preact.js";

export { explain, reportSessionExpired };

/** GET a route. Transient failures are retried. */
export function get(path, params = {}) {
  const present = Object.entries(params).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return call("GET", `${path}${present.length ? `?${new URLSearchParams(present)}` : ""}`);
}

/** POST once. A decision is never retried automatically: staff see what happened before they repeat it. */
export const post = (path, body) => call("POST", path, body, 1);

/** Whether a failed call may still have taken effect: no response arrived, or the server failed. */
export const isUncertain = (error) => error instanceof Offline || (error instanceof Problem && error.status >= 500);

/** Load everything again that is shown. */
export const refresh = () => window.dispatchEvent(new Event("refresh"));

/** Say that a payment has changed, to all that counts payments or shows its evidence. */
export const paymentChanged = () => window.dispatchEvent(new Event("payment-changed"));

const INTERVAL_MS = 60_000;
const TOLERANCE_MS = 1000; // a timer may be a little early

/** Call `look` once a minute while the page is visible, and when it becomes visible after a minute or more. */
export function useVisibleInterval(look) {
  const current = useRef(look);
  current.current = look;
  useEffect(() => {
    let lookedAt = Date.now();
    const lookIfDue = () => {
      if (document.hidden || !navigator.onLine || Date.now() - lookedAt < INTERVAL_MS - TOLERANCE_MS) return;
      lookedAt = Date.now();
      current.current();
    };
    const timer = setInterval(lookIfDue, INTERVAL_MS);
    document.addEventListener("visibilitychange", lookIfDue);
    return () => {
      clearInterval(timer);
      document.removeEventListener("visibilitychange", lookIfDue);
    };
  }, []);
}

/**
 * `{ response, error, loading, reload }` of an asynchronous `load`. It loads again when `deps` change, on `refresh()`,
 * and once the browser is online again after a failed connection. During a `reload()` the previous response stays.
 */
export function useResponse(load, deps) {
  const key = JSON.stringify(deps);
  const [state, set] = useState({});
  const [reloads, setReloads] = useState(0);
  useEffect(() => {
    let current = true;
    const update = (changes) =>
      current &&
      set((before) => ({ key, response: before.key === key ? before.response : undefined, ...changes }));
    update({ loading: true });
    load().then(
      (response) => update({ response }),
      (error) => reportSessionExpired(error) || update({ error }),
    );
    return () => {
      current = false;
    };
  }, [key, reloads]);
  const shown = state.key === key ? state : { loading: true };
  const reload = () => setReloads((count) => count + 1);
  const isOffline = shown.error instanceof Offline;
  useEffect(() => {
    const events = isOffline ? ["refresh", "online"] : ["refresh"];
    for (const event of events) window.addEventListener(event, reload);
    return () => {
      for (const event of events) window.removeEventListener(event, reload);
    };
  }, [isOffline]);
  return { ...shown, reload };
}

const DRAFT_PREFIX = "tuition.draft.";

/** `[text, write, discard]`: typed text, kept in this tab until it is sent, so that an expired session loses nothing. */
export function useDraft(name, initial = "") {
  const key = `${DRAFT_PREFIX}${name}`;
  const [text, set] = useState(() => sessionStorage.getItem(key) ?? initial);
  const write = (value) => {
    sessionStorage.setItem(key, value);
    set(value);
  };
  return [text, write, () => sessionStorage.removeItem(key)];
}

export function discardDrafts() {
  for (const key of Object.keys(sessionStorage)) if (key.startsWith(DRAFT_PREFIX)) sessionStorage.removeItem(key);
}
