// Stripe's fields for one kind of payment method: a card, or a bank account.
import { appearance, loadStripe } from "./stripe.js";

/** Wallets and Link have buttons of their own (express.js). Stripe's fields would offer them a second time. */
const NO_WALLETS = { applePay: "never", googlePay: "never", link: "never" };

/**
 * Stripe's Payment Element for a type, created when it is first needed. Only Stripe sees what is typed in it. It offers
 * one of the types that the PaymentIntent accepts: Stripe refuses an intent that lacks a type of its Element, and takes
 * one with more.
 */
export function methodFields(config, track, type, container, wantsSaving) {
  const darkScheme = matchMedia("(prefers-color-scheme: dark)");
  let elements, mounting;
  const usage = () => ({ setupFutureUsage: wantsSaving() ? "on_session" : null });

  const updateAppearance = () => elements.update({ appearance: appearance() });

  async function mountOnce() {
    const stripe = await loadStripe(config);
    elements = stripe.elements({
      mode: "payment",
      amount: track.amount,
      currency: track.currency,
      allowedPaymentMethodTypes: [type],
      appearance: appearance(),
      ...usage(),
    });
    darkScheme.addEventListener("change", updateAppearance); // before the fields are ready, or a change is missed
    const element = elements.create("payment", { wallets: NO_WALLETS });
    await new Promise((resolve, reject) => {
      element.on("ready", resolve);
      element.on("loaderror", ({ error }) => reject(new Error(error.message)));
      element.mount(container);
    });
  }

  return {
    mount: () =>
      (mounting ??= mountOnce().catch((error) => {
        mounting = undefined;
        throw error;
      })),
    elements: () => elements,
    updateUsage: () => elements?.update(usage()),
  };
}
