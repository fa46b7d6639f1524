// The staff API (docs/api.md) as the views ask for it, and the hook that waits for an answer.
import { call, explain, Offline, Problem, SignedOut } from "../shared/api.js";
import { useEffect, useRef, useState } from "./html.js";

export { explain, Problem };

/** Read: tried again where it may pass by itself. */
export function read(path, query = {}) {
  const asked = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return call("GET", `${path}${asked.length ? `?${new URLSearchParams(asked)}` : ""}`);
}

/** Decide: sent once. Whoever sends it again has first been told what happened. */
export const send = (path, body) => call("POST", path, body, 1);

/** Nothing is known of what a call has done: no answer came, or one that does not say. */
export const lost = (error) => error instanceof Offline || (error instanceof Problem && error.status >= 500);

/** A sign-in that is over is not the view's to handle: the sign-in takes its place, and leads back to it. */
export function left(error) {
  if (!(error instanceof SignedOut)) return false;
  window.dispatchEvent(new CustomEvent("signed-out", { detail: error }));
  return true;
}

/** `{ answer, error, waiting, again }` of a promise. Asked anew by `again()` it stays meanwhile; other `deps` are another. */
export function useAnswer(ask, deps) {
  const [known, set] = useState({ waiting: true });
  const [turn, next] = useState(0);
  const asked = useRef("");
  useEffect(() => {
    let here = true;
    const same = asked.current === JSON.stringify(deps);
    asked.current = JSON.stringify(deps);
    set((before) => ({ answer: same ? before.answer : undefined, waiting: true }));
    ask().then(
      (answer) => here && set({ answer }),
      (error) => left(error) || (here && set({ error })),
    );
    return () => {
      here = false;
    };
  }, [...deps, turn]);
  return { ...known, again: () => next((count) => count + 1) };
}

/** Text that somebody types, kept in this tab until it is sent: a sign-in in the middle of work loses none of it. */
export function useDraft(key, initial = "") {
  const name = `tuition.draft.${key}`;
  const [text, set] = useState(() => sessionStorage.getItem(name) ?? initial);
  const write = (value) => {
    sessionStorage.setItem(name, value);
    set(value);
  };
  return [text, write, () => sessionStorage.removeItem(name)];
}

export function forgetDrafts() {
  for (const name of Object.keys(sessionStorage))
    if (name.startsWith("tuition.draft.")) sessionStorage.removeItem(name);
}
