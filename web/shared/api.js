// The school's API (docs/api.md): one way to call it, and what can go wrong in words for people.
import * as session from "./session.js";

const UNABLE = "The school’s system cannot answer just now: try again in a moment.";

/** What the API refused: RFC 9457, or the gateway's own `{"message"}`, or nothing that can be read. */
export class Problem extends Error {
  constructor(status, body, retryAfter) {
    super(body.detail ?? (status >= 500 ? UNABLE : (body.message ?? "Something went wrong.")));
    this.status = status;
    this.type = (body.type ?? "").split("/").pop();
    this.field = body.field;
    this.retryAfter = retryAfter;
  }
}

/** The network did not answer, or not to the end: nothing is known of what happened. */
export class Offline extends Error {
  constructor() {
    super("The school cannot be reached. Check your connection, then try again.");
  }
}

/** The token is missing or over. */
export class SignedOut extends Error {}

const PASSING = new Set([502, 503, 504]);
const TRIES = 3;
const LONGEST_MS = 40_000; // the gateway answers within 30 s
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/**
 * Call the API; the answer's body. What may pass by itself is tried again, which is safe for a student's routes: a
 * create answers the payment that is open, a refund the request that is there. Throws Problem, Offline, SignedOut.
 */
export async function call(method, path, body, tries = TRIES) {
  for (let tried = 1; ; tried += 1) {
    try {
      return await once(method, path, body);
    } catch (error) {
      const passing = error instanceof Problem && PASSING.has(error.status) && error.type !== "not-configured";
      if (!passing || tried === tries) throw error;
      await pause(Math.min(error.retryAfter ?? tried, 5));
    }
  }
}

async function once(method, path, body) {
  const token = session.token();
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let answer;
  try {
    const signal = AbortSignal.timeout(LONGEST_MS);
    answer = await fetch(`/api${path}`, { method, headers, body: body && JSON.stringify(body), signal });
  } catch {
    throw new Offline();
  }
  if (answer.status === 401) {
    session.forget();
    throw new SignedOut("Your sign-in is over: sign in again, and you come back to this place.");
  }
  const said = await answer.json().catch(() => undefined);
  if (answer.ok && said) return said;
  if (answer.ok) throw new Offline();
  throw new Problem(answer.status, said ?? {}, Number(answer.headers.get("retry-after")) || undefined);
}

/** A sentence for people. */
export function explain(error) {
  if (error instanceof Problem) {
    const detail = error.message.charAt(0).toUpperCase() + error.message.slice(1);
    const sentence = /[.!?]$/.test(detail) ? detail : `${detail}.`;
    if (error.status !== 429 && !error.retryAfter) return sentence;
    const seconds = error.retryAfter ?? 30;
    const at = new Intl.DateTimeFormat("en-GB", { timeStyle: "medium" }).format(Date.now() + seconds * 1000);
    return `${sentence} Try again in ${seconds} s (at ${at}).`;
  }
  if (error instanceof Offline || error instanceof SignedOut) return error.message;
  console.error(error);
  return "Something went wrong on this page. Load it again.";
}
