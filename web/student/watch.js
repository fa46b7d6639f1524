// Live status: ask again and again, less and less often, and not at all while nobody looks.
import { Offline, Problem } from "../shared/api.js";
import { enrollment, payment } from "./school.js";

const DELAYS_S = [0.3, 0.5, 0.8, 1.2, 2, 2, 3, 3, 5, 5, 8, 10, 15, 20, 30];

/** Until the event, or so many seconds. Rejects when the view is left. */
function wait(seconds, signal, ...events) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, seconds * 1000);
    function done() {
      clearTimeout(timer);
      for (const [target, name] of events) target.removeEventListener(name, done);
      signal.removeEventListener("abort", left);
      resolve();
    }
    function left() {
      done();
      reject(signal.reason);
    }
    for (const [target, name] of events) target.addEventListener(name, done);
    signal.addEventListener("abort", left);
    if (signal.aborted) left();
  });
}

/**
 * Yield `{payment, enrolled, look}` at each look, as long as the caller goes on. What is only trouble on the way (offline, limits,
 * a part that does not answer) is waited out and yielded as `{trouble: error}`.
 */
export async function* watch(id, signal) {
  for (let look = 0; ; look += 1) {
    let rest = DELAYS_S[Math.min(look, DELAYS_S.length - 1)];
    try {
      const found = await payment(id);
      const enrolled = found.status === "SUCCEEDED" && (await enrollment(found.track))?.status === "ENROLLED";
      yield { payment: found, enrolled, look };
    } catch (error) {
      const passing =
        error instanceof Offline || (error instanceof Problem && (error.status === 429 || error.status >= 500));
      if (!passing) throw error;
      rest = Math.max(rest, error.retryAfter ?? 3);
      yield { trouble: error, look };
    }
    await wait(rest, signal, [window, "online"]);
    while (document.hidden) await wait(3600, signal, [document, "visibilitychange"]);
  }
}
