// Stripe.js, loaded once and from nowhere but where config.json says: https://js.stripe.com in production.
import { tracks } from "./school.js";

let loading;

/** The `Stripe` object of this page. Throws when the script cannot be loaded. */
export function stripe(config) {
  loading ??= load(config).catch((error) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

async function load(config) {
  const [{ publishable_key: key }] = await Promise.all([tracks(), script(config.stripe_js)]);
  return window.Stripe(key);
}

function script(address) {
  return new Promise((resolve, reject) => {
    const element = document.createElement("script");
    element.src = address;
    element.addEventListener("load", resolve);
    element.addEventListener("error", () => {
      element.remove();
      reject(
        new StripeNotLoaded(
          "Stripe's card form cannot be loaded. Check your connection or content blocker, or pay on Stripe's own page.",
        ),
      );
    });
    document.head.append(element);
  });
}

export class StripeNotLoaded extends Error {}

/** The look of Stripe's fields, taken from our own stylesheet. */
export function appearance() {
  const style = getComputedStyle(document.documentElement);
  const value = (name) => style.getPropertyValue(name).trim();
  return {
    theme: matchMedia("(prefers-color-scheme: dark)").matches ? "night" : "stripe",
    variables: {
      colorPrimary: value("--primary"),
      colorText: value("--text"),
      colorBackground: value("--card"),
      colorDanger: value("--bad"),
      borderRadius: value("--radius"),
      fontFamily: value("--font"),
    },
  };
}
