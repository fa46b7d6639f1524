// The routes of the API that the student page calls.
import { call, SessionExpired } from "../shared/api.js";

const UNPAID = ["CREATED", "PROCESSING", "FAILED"];
let catalog;

/** Whether a payment is still open: it is unpaid, and may yet be paid. */
export const isOpen = (payment) => UNPAID.includes(payment.status);

/**
 * The tracks and what a page needs to sell them, fetched once: `{tracks, no_longer_sold, publishable_key,
 * payment_method_types, refund_window_days, consumer_region, support_contact, terms, privacy_url}`.
 */
export function getCatalog() {
  catalog ??= call("GET", "/payments/tracks").catch((error) => {
    catalog = undefined;
    throw error;
  });
  return catalog;
}

/** The catalog as it is now: the school has changed its terms. */
export function reloadCatalog() {
  catalog = undefined;
  return getCatalog();
}

/** The code of what a payment, a plan, a track or a membership is for. */
export const codeOf = ({ track, membership }) => track ?? membership;

/** A track or a membership for sale by its code; undefined if there is none. */
export async function getProduct(code) {
  const { tracks, memberships } = await getCatalog();
  return [...tracks, ...memberships].find((product) => codeOf(product) === code);
}

/** The title of each track and membership by its code, also of a track that is no longer sold. */
export async function getTitles() {
  const { tracks, memberships, no_longer_sold: former } = await getCatalog();
  return new Map([...tracks, ...memberships, ...former].map((product) => [codeOf(product), product.title]));
}

/**
 * `{enrollments, blocked}`: each enrollment with the payment or the plan that decides it, and why the student may not buy:
 * the student's purchases are blocked, or the school sells nothing for now. `blocked` is undefined if they may buy.
 */
export async function getLearning() {
  const { enrollments, purchases_blocked: blocked, not_selling: stopped } = await call("GET", "/enrollments");
  const plans = enrollments.every(({ payment }) => payment) ? [] : await listPlans();
  const planOf = ({ track, payment }) => (payment ? undefined : currentPlan(plans, track));
  return {
    enrollments: enrollments.map((enrollment) => ({ ...enrollment, plan: planOf(enrollment) })),
    blocked: blocked ?? stopped ?? undefined,
  };
}

/** The plan that decides about a track or membership: one that gives access, else the newest that was not given up unpaid. */
export function currentPlan(plans, code) {
  const about = plans.filter((plan) => [codeOf(plan), ...plan.grants].includes(code) && plan.status !== "ABANDONED");
  return about.find((plan) => plan.grants_access) ?? about[0];
}

/** `{track, enrollment, payment_id, sentence}`: why the student is enrolled in a track, or why not. */
export const explainEnrollment = (track) => call("GET", `/enrollments/${encodeURIComponent(track)}/explain`);

/** The state of one track: `{enrollment, blocked}` as `describe` takes it. The enrollment is undefined without one. */
export async function getTrackState(id) {
  const { enrollments, blocked } = await getLearning();
  return { enrollment: enrollments.find(({ track }) => track === id), blocked };
}

/** A page of payments, newest first: `{payments, next_cursor}`. */
export function listPayments(cursor) {
  return call("GET", `/payments/my-payments?limit=20${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
}

/** A payment by its own id. The API syncs an open one with Stripe. */
export const readPayment = (id) => call("GET", `/payments/${encodeURIComponent(id)}`);

/** A payment by its own id, its PaymentIntent's or its Checkout Session's. The API syncs an open one with Stripe. */
export const getPayment = (id) => call("GET", `/payments/status/${encodeURIComponent(id)}`);

/** The invoice and credit notes of a payment, with links that expire: `{documents}`. */
export const listDocuments = (id) => call("GET", `/payments/${encodeURIComponent(id)}/documents`);

export const listSavedMethods = async () => (await call("GET", "/payments/payment-methods")).payment_methods;

/** The saved methods to pay with. Empty if they cannot be loaded, because the student can still pay another way. */
export async function listSavedMethodsIfAvailable() {
  try {
    return await listSavedMethods();
  } catch (error) {
    if (error instanceof SessionExpired) throw error;
    return [];
  }
}

/** A part of everything that is stored about the student, or of a part that is too large, `{url, url_expires_at}`. */
export const exportMyData = (cursor) =>
  call("GET", `/me/export${cursor ? `?cursor=${encodeURIComponent(cursor)}` : ""}`);

/** Store the address of the sign-in with up to 100 of the student's payments: `{email, payments, complete}`. */
export const correctMyEmail = () => call("POST", "/me/email");

/** Request the erasure of the student's data. Repeated, it answers the same `{erasure}`. */
export const eraseMe = () => call("DELETE", "/me");

export const removeSavedMethod = (id) => call("DELETE", `/payments/payment-methods/${encodeURIComponent(id)}`);
export const createPayment = (params) => call("POST", "/payments/create-payment", params);
/** The effect of a promotion code on the price, `{promotion_code, discount, amount}`. Nothing is created. */
export const previewPromotionCode = (track, code) =>
  call("POST", "/payments/promotion-codes/preview", { track, promotion_code: code });
export const createCheckoutSession = (params) => call("POST", "/payments/create-checkout-session", params);
export const withdraw = (id, name) =>
  call("POST", "/payments/request-refund", { payment_id: id, withdrawal: true, name });
/** Close an unpaid payment of the student. Repeated, it answers the same payment. */
export const cancelPayment = (id) => call("POST", `/payments/${encodeURIComponent(id)}/cancel`);

/** Withdraw a refund request that waits for the school. Repeated, it answers the same payment. */
export const withdrawRefundRequest = (id, requestId) =>
  call("POST", `/payments/${encodeURIComponent(id)}/refunds/${encodeURIComponent(requestId)}/withdraw`);

/** End the sign-in on every device: `{signed_out, tokens_valid_until}`. */
export const signOutEverywhere = () => call("POST", "/me/sign-out-everywhere");

export const requestRefund = (id, reason) => call("POST", "/payments/request-refund", { payment_id: id, reason });

// --- payment plans ---

/** The student's newest plans. */
export const listPlans = async () => (await call("GET", "/plans?limit=100")).plans;

const ofPlan = (id, action = "") => `/plans/${encodeURIComponent(id)}${action}`;

/** A plan by its id. The API syncs its open payment with Stripe. */
export const getPlan = (id) => call("GET", ofPlan(id));

/**
 * `{first, refunding}`: the first payment of a plan, which says whether the money can go back at once, and the one whose
 * refund request waits for the school, else the first. Both are undefined before there is one.
 */
export async function readPaymentsOfPlan({ schedule, refund_request_payment_id: requestedId }) {
  const firstId = schedule[0]?.payment_id;
  const [first, requested] = await Promise.all([
    firstId && readPayment(firstId),
    requestedId && requestedId !== firstId && readPayment(requestedId),
  ]);
  return { first: first || undefined, refunding: requested || first || undefined };
}

/** The first payment of a plan, which is open. Repeated, it answers the same. */
export const beginPlan = (params) => call("POST", "/plans", params);

/** A payment for the `next` installment, all that are `due`, or the `rest`. Repeated, it answers the same. */
export const payPlan = (id, what) => call("POST", ofPlan(id, "/pay"), { what });

/** `{setup_intent_id, client_secret}`, with which Stripe.js sets up another payment method. */
export const setUpPlanMethod = (id) => call("POST", ofPlan(id, "/payment-method"), {});

/** Charge a plan to a method that was set up. This and the next calls return the plan. */
export const choosePlanMethod = (id, method) => call("POST", ofPlan(id, "/payment-method"), { payment_method: method });
export const cancelPlan = (id, params = {}) => call("POST", ofPlan(id, "/cancel"), params);
export const resumePlan = (id) => call("POST", ofPlan(id, "/resume"));
export const beginTrack = (id, track) => call("POST", ofPlan(id, "/tracks"), { track });

/** Every amount of a plan: `{currency, lines, requested, received, refunded, lost, balance}`. */
export const getStatement = (id) => call("GET", ofPlan(id, "/statement"));
