// Paying: start a payment or resume the open one, and confirm it once.
//
// Every press of the button calls a create again. A create returns the payment that is already open, so the page never
// uses a client secret or an address that has been closed in the meantime.
import { explain, Problem } from "../shared/api.js";
import * as api from "./api.js";

/** The payment was refused: the reason for the student, and the field that shows it already or must show it. */
export class PaymentDeclined extends Error {
  constructor(message, field) {
    super(message);
    this.field = field;
  }
}

/** Where Stripe leads after a payment for a track or a membership. */
const returnUrl = (code) => `${location.origin}/?paid=${code}`;
const UNEXPECTED_STATE = "payment_intent_unexpected_state";
const PAID = ["succeeded", "processing"];
const MAX_ATTEMPTS = 2;

/**
 * Pay on this page, with a saved method or with the contents of Stripe's fields. Returns the payment's id once Stripe
 * has accepted the payment. Throws PaymentDeclined if it is refused, and the errors of a create. Pays nothing if the
 * student has left the form in the meantime.
 */
export function payOnPage(stripe, track, choice, signal) {
  const { method, save, terms } = choice;
  const params = {
    track,
    ...(save && { save_payment_method: true }),
    ...(method && { payment_method: method }),
    ...(terms && { terms }),
  };
  return confirmOnPage(stripe, { create: () => api.createPayment(params), returnUrl: returnUrl(track) }, choice, signal);
}

/** The same for the first payment of a plan. `plan` has the `track` or `membership`, the `offer` and its `consent`. */
export function beginPlanOnPage(stripe, plan, choice, signal) {
  const { method, terms } = choice;
  const params = { ...plan, ...(method && { payment_method: method }), ...(terms && { terms }) };
  return confirmOnPage(stripe, { create: () => api.beginPlan(params), returnUrl: returnUrl(api.codeOf(plan)) }, choice, signal);
}

/** The address of a plan's page, to which Stripe leads back. */
const planUrl = (id) => `${location.origin}/?plan=${id}`;

/**
 * The same for later payments of a plan: the `next`, those that are `due`, or the `rest`. Its intent was created without
 * a usage, because the collector could not confirm it otherwise. `keep` says whether the method is kept for later ones.
 */
export function payPlanOnPage(stripe, id, what, { keep, ...choice }, signal) {
  const confirm = keep && { setup_future_usage: "off_session" };
  return confirmOnPage(stripe, { create: () => api.payPlan(id, what), returnUrl: planUrl(id), confirm }, choice, signal);
}

/** Set up another payment method for a plan, by its bank if it must be confirmed. Returns the method's id. */
export async function setUpMethod(stripe, id, { elements, method }, signal) {
  await requireComplete(elements);
  const { client_secret: clientSecret } = await api.setUpPlanMethod(id);
  signal.throwIfAborted();
  const confirmParams = { return_url: planUrl(id), ...(method && { payment_method: method }) };
  const options = { clientSecret, confirmParams, redirect: "if_required" };
  const { error, setupIntent } = await stripe.confirmSetup(elements ? { elements, ...options } : options);
  if (error) throw new PaymentDeclined(error.message);
  return setupIntent.payment_method;
}

/** Have Stripe's fields say what is missing. Throws PaymentDeclined if something is. */
async function requireComplete(elements) {
  if (!elements) return;
  const { error } = await elements.submit();
  if (error) throw new PaymentDeclined(error.message, error.type === "validation_error" ? "element" : undefined);
}

async function confirmOnPage(stripe, { create, returnUrl: target, confirm }, { elements, method }, signal) {
  await requireComplete(elements);
  for (let attempt = 1; ; attempt += 1) {
    const payment = await create();
    signal.throwIfAborted();
    if (payment.status === "PROCESSING") return payment.payment_id;
    const confirmParams = { return_url: target, ...confirm, ...(method && { payment_method: method }) };
    const options = { clientSecret: payment.client_secret, confirmParams, redirect: "if_required" };
    const { error } = await stripe.confirmPayment(elements ? { elements, ...options } : options);
    const intentStatus = error?.code === UNEXPECTED_STATE ? error.payment_intent?.status : undefined;
    if (!error || PAID.includes(intentStatus)) return payment.payment_id;
    // An intent that another tab has just canceled is replaced by the next create.
    if (intentStatus !== "canceled" || attempt === MAX_ATTEMPTS) throw new PaymentDeclined(error.message);
  }
}

/** Continue an interrupted payment at the bank's confirmation (3-D Secure). Returns and throws as payOnPage. */
export async function confirmWithBank(stripe, { clientSecret, paymentId }) {
  const { error } = await stripe.handleNextAction({ clientSecret });
  if (error) throw new PaymentDeclined(error.message);
  return paymentId;
}

/** Go to Stripe Checkout for the first payment of a plan. Returns and throws as payWithCheckout. */
export async function beginPlanWithCheckout(plan, { terms }, signal) {
  const code = api.codeOf(plan);
  const urls = {
    success_url: `${returnUrl(code)}&session={CHECKOUT_SESSION_ID}`,
    cancel_url: `${location.origin}/?canceled=${code}`,
  };
  const opened = await api.beginPlan({ ...plan, via: "checkout", ...(terms && { terms }), ...urls });
  return leaveForCheckout(opened, signal);
}

/** Go to a Checkout Session's page. Returns the payment's id only if the session was already completed. */
function leaveForCheckout(session, signal) {
  signal.throwIfAborted();
  if (!session.url) return session.payment_id;
  location.assign(session.url);
  return new Promise(() => {}); // the browser is leaving the page, so the button stays busy
}

/**
 * The state of a payment that was interrupted: `{paymentId, clientSecret}` with `paid`, `needsAction` (the bank still
 * needs the student's confirmation) or `failureMessage`. `choices` are those of the open payment, as the API names them.
 * If it was closed, a new one has replaced it.
 */
export async function readInterrupted(stripe, track, { save_payment_method: save, payment_method: method }) {
  const choices = { ...(save && { save_payment_method: true }), ...(method && { payment_method: method }) };
  const payment = await api.createPayment({ track, ...choices });
  const { paymentIntent } = await stripe.retrievePaymentIntent(payment.client_secret);
  const ids = { paymentId: payment.payment_id, clientSecret: payment.client_secret };
  if (PAID.includes(paymentIntent?.status)) return { paid: true, ...ids };
  return {
    needsAction: paymentIntent?.status === "requires_action",
    failureMessage: paymentIntent?.last_payment_error?.message,
    ...ids,
  };
}

/**
 * Go to Stripe Checkout. Returns the payment's id only if that session was already completed and a bank still decides.
 * Throws PaymentDeclined for a promotion code that cannot be used, and the errors of a create.
 */
export async function payWithCheckout(track, { code, invoice, terms }, signal) {
  const params = {
    track,
    ...(code && { promotion_code: code }),
    ...(invoice && { invoice: true }),
    ...(terms && { terms }),
    save_payment_method: true, // Checkout asks the student for consent
    success_url: `${returnUrl(track)}&session={CHECKOUT_SESSION_ID}`,
    cancel_url: `${location.origin}/?canceled=${track}`,
  };
  const session = await api.createCheckoutSession(params).catch((error) => {
    throw error instanceof Problem && error.type === "promotion-code-refused"
      ? new PaymentDeclined(explain(error), "code")
      : error;
  });
  return leaveForCheckout(session, signal);
}

/**
 * The method that a SetupIntent has set up, after the student has come back from their bank. Throws PaymentDeclined if the
 * bank refused it, with an empty message if Stripe does not say why.
 */
export async function setUpInStripe(stripe, clientSecret) {
  const { setupIntent } = await stripe.retrieveSetupIntent(clientSecret);
  if (setupIntent?.status === "succeeded") return setupIntent.payment_method;
  throw new PaymentDeclined(setupIntent?.last_setup_error?.message ?? "");
}
