// The staff API (docs/api.md) as the views ask for it, and the hook that waits for an answer.
import { call, explain, Offline, Problem, SignedOut } from "../shared/api.js";
import { useEffect, useState } from "./html.js";

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

/** `{ answer, error, waiting, again }` of a promise. Asked anew by `again()` the answer stays; other `deps` are another. */
export function useAnswer(ask, deps) {
  const asked = JSON.stringify(deps);
  const [known, set] = useState({});
  const [turn, next] = useState(0);
  useEffect(() => {
    let here = true;
    const tell = (news) =>
      here && set((before) => ({ asked, answer: before.asked === asked ? before.answer : undefined, ...news }));
    tell({ waiting: true });
    ask().then(
      (answer) => tell({ answer }),
      (error) => left(error) || tell({ error }),
    );
    return () => {
      here = false;
    };
  }, [asked, turn]);
  const shown = known.asked === asked ? known : { waiting: true };
  return { ...shown, again: () => next((count) => count + 1) };
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
