// Apple Pay, Google Pay and Link, where Stripe offers them to this browser and this school.
import { appearance, loadStripe } from "./stripe.js";

/**
 * Show Stripe's Express Checkout Element in `container`. `onAvailable(any)` tells whether it has any button: without
 * one it takes no space. `mayPay()` is asked when a button is pressed, and must answer at once. `onConfirm` receives
 * Stripe's elements once the student has approved the payment in the wallet, and returns why it failed, if it did.
 * https://docs.stripe.com/elements/express-checkout-element
 */
export async function showExpress({ config, track, types, container, onAvailable, mayPay, onConfirm }) {
  const stripe = await loadStripe(config);
  const elements = stripe.elements({
    mode: "payment",
    amount: track.amount,
    currency: track.currency,
    allowedPaymentMethodTypes: types,
    appearance: appearance(),
  });
  const element = elements.create("expressCheckout", {
    paymentMethods: { amazonPay: "never", klarna: "never", paypal: "never" },
  });
  element.on("availablepaymentmethodschange", ({ paymentMethods }) => {
    onAvailable(Object.values(paymentMethods ?? {}).some(({ available }) => available));
  });
  element.on("loaderror", () => onAvailable(false)); // the list offers every other way
  element.on("click", (event) => {
    if (mayPay()) event.resolve();
    else event.reject();
  });
  element.on("confirm", async (event) => {
    const failure = await onConfirm(elements);
    if (failure) event.paymentFailed({ reason: "fail", message: failure });
  });
  element.mount(container);
}
