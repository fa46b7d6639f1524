// How staff read money, times and Stripe's words.

const digits = (currency) =>
  new Intl.NumberFormat("en", { style: "currency", currency }).resolvedOptions().maximumFractionDigits;

/** Minor units as a plain figure: `figure(12000, "usd")` is `120.00`. */
export function figure(amount, currency) {
  const places = digits(currency);
  const sign = amount < 0 ? "−" : "";
  const text = String(Math.abs(amount)).padStart(places + 1, "0");
  const whole = text.slice(0, text.length - places).replace(/\B(?=(\d{3})+$)/g, ",");
  return `${sign}${whole}${places ? `.${text.slice(-places)}` : ""}`;
}

/** As somebody would type it: `plainly(120000, "usd")` is `1200.00`. */
export const plainly = (amount, currency) => figure(amount, currency).replace(/,/g, "");

/** `120.00 USD`. */
export const sum = (amount, currency) => `${figure(amount, currency)} ${currency.toUpperCase()}`;

/** What somebody typed, in minor units, exactly; undefined where it is no amount. `minor("120.5", "usd")` is 12050. */
export function minor(text, currency) {
  const places = digits(currency);
  const found = /^(\d{1,10})(?:[.,](\d+))?$/.exec(text.trim());
  if (!found || (found[2] ?? "").length > places) return undefined;
  return Number(found[1] + (found[2] ?? "").padEnd(places, "0"));
}

const zone = () => new Intl.DateTimeFormat().resolvedOptions().timeZone;
const within = (options) => new Intl.DateTimeFormat("en-GB", options);

/** In the reader's zone: `24 Nov 2026, 14:05`, or with seconds. */
export const moment = (at, seconds = false) =>
  within({ dateStyle: "medium", timeStyle: seconds ? "medium" : "short" }).format(new Date(at));

/** `2026-11-24 13:05:00 UTC`. */
export const utc = (at) => `${new Date(at).toISOString().slice(0, 19).replace("T", " ")} UTC`;

export const zoneName = () => zone();

/** `in 9 days`, `in 5 hours`, `2 days ago`. */
export function distance(at, now = Date.now()) {
  const hours = (new Date(at) - now) / 3_600_000;
  const [count, unit] = Math.abs(hours) < 48 ? [hours, "hour"] : [hours / 24, "day"];
  return new Intl.RelativeTimeFormat("en", { numeric: "always" }).format(Math.trunc(count), unit);
}

/** `insufficient_funds` -> `Insufficient funds`. */
export function words(code) {
  const text = String(code).replace(/[_.]/g, " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const BRANDS = {
  visa: "Visa",
  mastercard: "Mastercard",
  amex: "Amex",
  discover: "Discover",
  diners: "Diners",
  jcb: "JCB",
  unionpay: "UnionPay",
};

/** `Visa ··4242`. */
export function method(found) {
  if (!found) return "";
  const name = BRANDS[found.brand] ?? words(found.type ?? "card");
  return found.last4 ? `${name} ··${found.last4}` : name;
}
