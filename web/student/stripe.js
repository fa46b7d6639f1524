// Stripe.js, loaded once from the address in config.json: https://js.stripe.com in production.
import { getCatalog } from "./api.js";
import { texts } from "./text.js";

const words = texts.stripe;
let loading;

export class StripeNotLoaded extends Error {}

/** The page's `Stripe` object. Throws StripeNotLoaded if the script cannot be loaded. */
export function loadStripe(config) {
  loading ??= load(config).catch((error) => {
    loading = undefined;
    throw error;
  });
  return loading;
}

async function load(config) {
  const [{ publishable_key: key }] = await Promise.all([getCatalog(), loadScript(config.stripe_js)]);
  return window.Stripe(key);
}

function loadScript(address) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = address;
    script.addEventListener("load", resolve);
    script.addEventListener("error", () => {
      script.remove();
      reject(new StripeNotLoaded(words.not_loaded));
    });
    document.head.append(script);
  });
}

/** The look of Stripe's fields, from our own stylesheet. */
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
