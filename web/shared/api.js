// Calls to our API (docs/api.md), and what can go wrong with them in words for people.
import { moment, timeOfDay } from "./format.js";
import * as session from "./session.js";
import { words } from "./words.js";

/** The API's refusal: an RFC 9457 problem, the gateway's own `{"message"}`, or a body that cannot be read. */
export class Problem extends Error {
  constructor(status, body, retryAfter) {
    super(body.detail ?? (status >= 500 ? words.unavailable : (body.message ?? words.refused)));
    this.status = status;
    this.type = (body.type ?? "").split("/").pop();
    this.field = body.field;
    this.reason = body.reason;
    this.until = body.until;
    this.planId = body.plan_id;
    this.retryAfter = retryAfter;
  }
}

/** No complete response arrived, so the call may or may not have taken effect. */
export class Offline extends Error {
  constructor() {
    super(words.offline);
  }
}

/** The ID token is missing or expired. */
export class SessionExpired extends Error {}

/** The module of an `import()`. Throws Offline if it cannot be loaded, and logs why: a module may also be broken. */
export async function imported(loading) {
  try {
    return await loading;
  } catch (error) {
    console.error(error);
    throw new Offline();
  }
}

const TRANSIENT = new Set([502, 503, 504]);
const MAX_ATTEMPTS = 3;
const TIMEOUT_MS = 40_000; // the gateway answers within 30 s
const MAX_RETRY_DELAY_S = 5;
const LONG_WAIT_S = 3600; // from here on the day matters, and not the second
const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));

/**
 * Call the API and return the response's body. Transient failures are retried. Retries are safe for a student's
 * routes: a create returns the payment that is already open, a refund returns the existing request.
 * Throws Problem, Offline or SessionExpired.
 */
export async function call(method, path, body, maxAttempts = MAX_ATTEMPTS) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await callOnce(method, path, body);
    } catch (error) {
      const transient = error instanceof Problem && TRANSIENT.has(error.status) && error.type !== "not-configured";
      if (!transient || attempt === maxAttempts) throw error;
      await sleep(Math.min(error.retryAfter ?? attempt, MAX_RETRY_DELAY_S));
    }
  }
}

async function callOnce(method, path, body) {
  const token = session.token();
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  let response;
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    response = await fetch(`/api${path}`, { method, headers, body: body && JSON.stringify(body), signal });
  } catch {
    throw new Offline();
  }
  if (response.status === 401) {
    // The user may have signed in again since the request was sent. A refused request had no effect, so it is repeated.
    const newer = session.token();
    if (newer && newer !== token) return callOnce(method, path, body);
    session.clear();
    throw new SessionExpired(words.session_expired);
  }
  const json = await response.json().catch(() => undefined);
  if (response.ok && json) return json;
  if (response.ok) throw new Offline();
  throw new Problem(response.status, json ?? {}, Number(response.headers.get("retry-after")) || undefined);
}

/** If the session has expired, have the page show its sign-in. Returns whether it has. */
export function reportSessionExpired(error) {
  if (!(error instanceof SessionExpired)) return false;
  window.dispatchEvent(new CustomEvent("session-expired", { detail: error }));
  return true;
}

/** An error as a sentence for people. */
export function explain(error) {
  if (error instanceof Problem) {
    const detail = error.message.charAt(0).toUpperCase() + error.message.slice(1);
    const sentence = /[.!?]$/.test(detail) ? detail : `${detail}.`;
    if (error.status !== 429 && !error.retryAfter) return sentence;
    const seconds = error.retryAfter ?? 30;
    const at = Date.now() + seconds * 1000;
    if (seconds > LONG_WAIT_S) return `${sentence} ${words.try_after(moment(at))}`;
    return `${sentence} ${words.try_in(seconds, timeOfDay(at))}`;
  }
  if (error instanceof Offline || error instanceof SessionExpired) return error.message;
  console.error(error);
  return words.broken;
}
