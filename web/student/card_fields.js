// Stripe's fields for one kind of payment method: a card, or a bank account.
import { appearance, loadStripe } from "./stripe.js";

/** Wallets and Link have buttons of their own (express.js). Stripe's fields would offer them a second time. */
const NO_WALLETS = { applePay: "never", googlePay: "never", link: "never" };

/**
 * Stripe's Payment Element for a type, created when it is first needed. Only Stripe sees what is typed in it. It offers
 * one of the types that the PaymentIntent accepts: Stripe refuses an intent that lacks a type of its Element, and takes
 * one with more. `intent` is `{mode, amount, currency}`: of a payment, or `{mode, currency}` of a setup. `usage()` is how
 * Stripe may use the method afterwards: `on_session`, `off_session`, or null for not at all.
 */
export function methodFields(config, intent, type, container, usage) {
  const darkScheme = matchMedia("(prefers-color-scheme: dark)");
  let elements, mounting;
  const updateAppearance = () => elements.update({ appearance: appearance() });

  async function mountOnce() {
    const stripe = await loadStripe(config);
    elements = stripe.elements({
      ...intent,
      allowedPaymentMethodTypes: [type],
      appearance: appearance(),
      setupFutureUsage: usage(),
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
    updateUsage: () => elements?.update({ setupFutureUsage: usage() }),
  };
}
