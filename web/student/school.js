// What the student page asks of the API, and what it remembers of it.
import { call, SignedOut } from "../shared/api.js";
import * as session from "../shared/session.js";

export const OPEN = ["CREATED", "PROCESSING", "FAILED"];
const NAMES = { DP: "data", FSD: "code" };
let catalog;

/** `{tracks, publishable_key, payment_method_types, refund_window_days}`, asked once. */
export function tracks() {
  catalog ??= call("GET", "/payments/tracks/").catch((error) => {
    catalog = undefined;
    throw error;
  });
  return catalog;
}

export async function track(id) {
  return (await tracks()).tracks.find((one) => one.track === id);
}

export const drawing = (id) => NAMES[id] ?? "check";

export const enrollments = async () => (await call("GET", "/enrollments/")).enrollments;
export const enrollment = async (id) => (await enrollments()).find((one) => one.track === id);

/** A page of payments, newest first: `{payments, next_cursor}`. */
export function payments(cursor) {
  return call("GET", `/payments/my-payments/?limit=20${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
}

/** One payment, by its own, its intent's or its session's id; an open one is looked up at Stripe. */
export const payment = (id) => call("GET", `/payments/status/${encodeURIComponent(id)}/`);

/** The payment of a track that is open, if one is. */
export async function openPayment(id) {
  return (await payments()).payments.find((one) => one.track === id && OPEN.includes(one.status));
}

export const savedMethods = async () => (await call("GET", "/payments/payment-methods/")).payment_methods;

/** The same for whoever wants to buy: without the list one can still pay, another way. */
export async function usableMethods() {
  try {
    return await savedMethods();
  } catch (error) {
    if (error instanceof SignedOut) throw error;
    return [];
  }
}

export const removeMethod = (id) => call("DELETE", `/payments/payment-methods/${encodeURIComponent(id)}/`);
export const createPayment = (wish) => call("POST", "/payments/create-payment/", wish);
export const createCheckout = (wish) => call("POST", "/payments/create-checkout-session/", wish);
export const requestRefund = (id, reason) => call("POST", "/payments/request-refund/", { payment_id: id, reason });

// --- what was begun here, so that a reload asks for the very same payment and not for another ---

const BEGUN = "tuition.begun";
const read = () => JSON.parse(localStorage.getItem(BEGUN) ?? "{}");
const mine = (id) => `${session.person()?.sub} ${id}`;

/** `{payment_id, kind, wish}` of what this person began for the track in this browser. */
export const begun = (id) => read()[mine(id)];

export function remember(id, kind, wish, paymentId) {
  localStorage.setItem(BEGUN, JSON.stringify({ ...read(), [mine(id)]: { kind, wish, payment_id: paymentId } }));
}

export function forgetBegun(id) {
  const { [mine(id)]: _, ...rest } = read();
  localStorage.setItem(BEGUN, JSON.stringify(rest));
}
