// The payments that were started in this browser, so that a reload resumes the same payment instead of opening another.
import { currentUser } from "../shared/session.js";

const STORAGE_KEY = "tuition.started-payments";
const read = () => JSON.parse(localStorage.getItem(STORAGE_KEY) ?? "{}");
const write = (all) => localStorage.setItem(STORAGE_KEY, JSON.stringify(all));
const keyOf = (track) => `${currentUser()?.sub} ${track}`;

/** `{payment_id, kind, params}` of the signed-in user's last payment for a track; kind is `intent` or `checkout`. */
export const startedPayment = (track) => read()[keyOf(track)];

export function rememberStarted(track, kind, params, paymentId) {
  write({ ...read(), [keyOf(track)]: { kind, params, payment_id: paymentId } });
}

export function forgetStarted(track) {
  const { [keyOf(track)]: _, ...others } = read();
  write(others);
}
