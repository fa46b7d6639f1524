// Polling a payment's status: less and less often, and not at all while the page is hidden.
import { Offline, Problem } from "../shared/api.js";
import { getPayment, getTrackState } from "./api.js";

const DELAYS_S = [0.3, 0.5, 0.8, 1.2, 2, 2, 3, 3, 5, 5, 8, 10, 15, 20, 30];
const MIN_DELAY_AFTER_ERROR_S = 3;

/** Wait for one of the events, at most for so many seconds. Rejects when the user leaves the view. */
function waitFor(seconds, signal, ...events) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(finish, seconds * 1000);
    function finish() {
      clearTimeout(timer);
      for (const [target, name] of events) target.removeEventListener(name, finish);
      signal.removeEventListener("abort", abort);
      resolve();
    }
    function abort() {
      finish();
      reject(signal.reason);
    }
    for (const [target, name] of events) target.addEventListener(name, finish);
    signal.addEventListener("abort", abort);
    if (signal.aborted) abort();
  });
}

const isEnrolled = async (track) => (await getTrackState(track)).enrollment?.status === "ENROLLED";

/**
 * Yield `{payment, enrolled, attempt}` at every attempt until the caller stops. A transient error (offline, rate limit,
 * an unavailable service) is yielded as `{error, attempt}`, and polling continues. The page of a payment's plan says
 * whether that gives access, so a payment of a plan counts as enrolled once it is made.
 */
export async function* pollPayment(id, signal) {
  for (let attempt = 0; ; attempt += 1) {
    let delay = DELAYS_S[Math.min(attempt, DELAYS_S.length - 1)];
    try {
      const payment = await getPayment(id);
      const enrolled = payment.status === "SUCCEEDED" && (payment.plan_id !== null || (await isEnrolled(payment.track)));
      yield { payment, enrolled, attempt };
    } catch (error) {
      const transient =
        error instanceof Offline || (error instanceof Problem && (error.status === 429 || error.status >= 500));
      if (!transient) throw error;
      delay = Math.max(delay, error.retryAfter ?? MIN_DELAY_AFTER_ERROR_S);
      yield { error, attempt };
    }
    await waitFor(delay, signal, [window, "online"]);
    while (document.hidden) await waitFor(3600, signal, [document, "visibilitychange"]);
  }
}
