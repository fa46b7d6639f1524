// Paying: begin the payment, or take up the one that is open, and confirm it once.
//
// Whatever happened before, a create answers the payment that is open. So every press of the button asks for it anew,
// and no client secret or address that was closed meanwhile is ever used.
import { explain, Problem } from "../shared/api.js";
import * as school from "./school.js";

/** What the student should read, and beside which field. */
export class Declined extends Error {
  constructor(message, field) {
    super(message);
    this.field = field;
  }
}

const returnUrl = (track) => `${location.origin}/?paid=${track}`;
const CLOSED = "payment_intent_unexpected_state";

/**
 * Pay on this page, by a saved method or by what is in Stripe's fields. Answers the payment's id when the money is on
 * its way; throws Declined when it is not, and whatever a create throws. Who has left the form meanwhile pays nothing.
 */
export async function payHere(stripe, track, { elements, method, save }, signal) {
  if (elements) {
    const { error } = await elements.submit();
    if (error) throw new Declined(error.message, "element");
  }
  const wish = { track, ...(save && { save_payment_method: true }), ...(method && { payment_method: method }) };
  for (let tried = 1; ; tried += 1) {
    const made = await school.createPayment(wish);
    school.remember(track, "intent", wish, made.payment_id);
    signal.throwIfAborted();
    if (made.status === "PROCESSING") return made.payment_id;
    const confirmParams = { return_url: returnUrl(track), ...(method && { payment_method: method }) };
    const given = { clientSecret: made.client_secret, confirmParams, redirect: "if_required" };
    const { error } = await stripe.confirmPayment(elements ? { elements, ...given } : given);
    const state = error?.code === CLOSED ? error.payment_intent?.status : undefined;
    if (!error || ["succeeded", "processing"].includes(state)) return made.payment_id;
    if (state !== "canceled" || tried === 2) throw new Declined(error.message, elements ? "element" : undefined);
  }
}

/** Take up the bank's step of a payment that was left in the middle of it. As payHere. */
export async function goOn(stripe, { clientSecret, paymentId }) {
  const { error } = await stripe.handleNextAction({ clientSecret });
  if (error) throw new Declined(error.message);
  return paymentId;
}

/** What an open payment waits for: `settled`, `action` with what goOn needs, or nothing. Closed meanwhile: nothing. */
export async function interrupted(stripe, track) {
  const { wish } = school.begun(track);
  const made = await school.createPayment(wish);
  school.remember(track, "intent", wish, made.payment_id);
  const { paymentIntent } = await stripe.retrievePaymentIntent(made.client_secret);
  const state = paymentIntent?.status;
  const told = { paymentId: made.payment_id, clientSecret: made.client_secret };
  if (["succeeded", "processing"].includes(state)) return { settled: true, ...told };
  return { action: state === "requires_action", failed: paymentIntent?.last_payment_error?.message, ...told };
}

/**
 * Leave for Stripe's page; answers the payment's id only where that page was completed and a bank still decides.
 * Throws Declined for a code that cannot be used, and whatever a create throws.
 */
export async function payAtStripe(track, { code }, signal) {
  const wish = {
    track,
    ...(code && { promotion_code: code }),
    save_payment_method: true, // Stripe's page asks for consent there, by a box to tick
    success_url: `${returnUrl(track)}&session={CHECKOUT_SESSION_ID}`,
    cancel_url: `${location.origin}/?left=${track}`,
  };
  const made = await school.createCheckout(wish).catch((error) => {
    throw error instanceof Problem && error.type === "promotion-code-refused"
      ? new Declined(explain(error), "code")
      : error;
  });
  school.remember(track, "checkout", { code }, made.payment_id);
  signal.throwIfAborted();
  if (!made.url) return made.payment_id;
  location.assign(made.url);
  return new Promise(() => {}); // the page is about to be left: the button stays as it is
}
