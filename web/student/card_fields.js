// Stripe's fields for a card or a bank account.
import { appearance, loadStripe } from "./stripe.js";

/** Stripe's Payment Element, created when it is first needed. Only Stripe sees what is typed in it. */
export function cardFields(config, track, types, container, wantsSaving) {
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
      allowedPaymentMethodTypes: types,
      appearance: appearance(),
      ...usage(),
    });
    darkScheme.addEventListener("change", updateAppearance); // before the fields are ready, or a change is missed
    const element = elements.create("payment");
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
