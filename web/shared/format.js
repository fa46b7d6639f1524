// How both apps write money, times, payment methods and Stripe's codes.
import { words } from "./words.js";

let place = { locale: "en-GB", moneyLocale: "en", zone: false };

/** Write dates and money as readers of a locale do, and the time zone with each time. Staff read `24 Nov 2026, 14:05`. */
export const writeFor = (locale) => {
  place = { locale, moneyLocale: locale, zone: true };
};

/**
 * Currencies whose amounts Stripe does not count in hundredths (https://docs.stripe.com/currencies), and those of which
 * it takes no fraction, although it counts them in hundredths. The browser does not know: it has no decimals for ISK
 * and two for MGA.
 */
const WITHOUT_DECIMALS = new Set("bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split(" "));
const WITH_THREE_DECIMALS = new Set("bhd jod kwd omr tnd".split(" "));
const IN_WHOLE_UNITS = new Set(["isk", "ugx"]);

/** How many decimals Stripe's amounts have. */
function fractionDigits(currency) {
  const code = currency.toLowerCase();
  if (WITHOUT_DECIMALS.has(code)) return 0;
  return WITH_THREE_DECIMALS.has(code) ? 3 : 2;
}

/** The amount of which each refund is a multiple, unless it is all that is left: 10 fils of a Kuwaiti dinar. */
export function step(currency) {
  const code = currency.toLowerCase();
  if (IN_WHOLE_UNITS.has(code)) return 100;
  return WITH_THREE_DECIMALS.has(code) ? 10 : 1;
}

/** Minor units as a plain decimal, exactly: `decimal(120000, "usd")` is `1200.00`. */
export function decimal(amount, currency) {
  const digits = fractionDigits(currency);
  const text = String(Math.abs(amount)).padStart(digits + 1, "0");
  const whole = text.slice(0, text.length - digits);
  return `${amount < 0 ? "−" : ""}${whole}${digits ? `.${text.slice(-digits)}` : ""}`;
}

/** The same with thousands separators: `1,200.00`. */
export const groupedDecimal = (amount, currency) =>
  decimal(amount, currency).replace(/^(−?)(\d+)/, (_, sign, whole) => sign + whole.replace(/\B(?=(\d{3})+$)/g, ","));

/** With the currency's code, as staff read it: `1,200.00 USD`. */
export const moneyWithCode = (amount, currency) => `${groupedDecimal(amount, currency)} ${currency.toUpperCase()}`;

/** With the currency's symbol, as students read it: `money(49900, "usd")` is `$499.00`, and `499,00 $` in German. */
export function money(amount, currency) {
  const digits = fractionDigits(currency);
  const format = new Intl.NumberFormat(place.moneyLocale, {
    style: "currency",
    currency: currency.toUpperCase(),
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  return format.format(decimal(amount, currency).replace("−", "-"));
}

/** Whether another amount was received than the price; `amount` and `currency` of a payment are what was received. */
export const differsFromPrice = ({ amount, currency, price }) =>
  amount !== price.amount || currency !== price.currency;

/** A typed amount in minor units, exactly; undefined if it is not an amount. `minorUnits("120.5", "usd")` is 12050. */
export function minorUnits(text, currency) {
  const digits = fractionDigits(currency);
  const match = /^(\d{1,10})(?:[.,](\d+))?$/.exec(text.trim());
  if (!match || (match[2] ?? "").length > digits) return undefined;
  return Number(match[1] + (match[2] ?? "").padEnd(digits, "0"));
}

/** Stripe's card brands: the full name, and a short one where the full name is long. */
const CARD_BRANDS = {
  visa: { name: "Visa" },
  mastercard: { name: "Mastercard" },
  amex: { name: "American Express", short: "Amex" },
  discover: { name: "Discover" },
  diners: { name: "Diners Club", short: "Diners" },
  jcb: { name: "JCB" },
  unionpay: { name: "UnionPay" },
};

/** As students read it: `Visa ending in 4242`, `Bank account ending in 6789`. */
export function methodName({ type, brand, last4 }) {
  const name = type === "us_bank_account" ? words.bank_account : (CARD_BRANDS[brand]?.name ?? words.card);
  return last4 ? words.method_ending_in(name, last4) : name;
}

/** Types of payment methods whose code is no name. */
const TYPES = { us_bank_account: "US bank account" };

/** As staff read it: `Visa ··4242`. Empty without a method. */
export function shortMethodName(method) {
  if (!method) return "";
  const brand = CARD_BRANDS[method.brand];
  const name = brand?.short ?? brand?.name ?? TYPES[method.type] ?? sentenceCase(method.type ?? "card");
  return method.last4 ? `${name} ··${method.last4}` : name;
}

/** A card's expiry: `12/34`. */
export function expiry({ exp_month: month, exp_year: year }) {
  return month && year ? `${String(month).padStart(2, "0")}/${String(year).slice(-2)}` : "";
}

const local = (options) => new Intl.DateTimeFormat(place.locale, options);
const DAY = { day: "numeric", month: "short", year: "numeric" };

/** A day in the reader's time zone: `24 Nov 2026`. */
export const day = (time) => local(DAY).format(new Date(time));

/** A calendar day of the school, which is the same day in every time zone: `29 Dec 2026` for `2026-12-29`. */
export const calendarDay = (date) => local({ ...DAY, timeZone: "UTC" }).format(new Date(date));

/** The calendar day of a moment in a time zone: `2026-12-29`. */
export const dayIn = (timeZone, time) => new Intl.DateTimeFormat("sv", { timeZone }).format(new Date(time));

const clock = (seconds) => ({
  hour: "numeric",
  minute: "2-digit",
  ...(seconds && { second: "2-digit" }),
  ...(place.zone && { timeZoneName: "short" }),
});

/** A moment in the reader's time zone: `24 Nov 2026, 14:05`, or with seconds; for students `24 Nov 2026, 14:05 CET`. */
export const moment = (time, seconds = false) => local({ ...DAY, ...clock(seconds) }).format(new Date(time));

/** The time of day of a moment: `14:05:10`, or `14:05` in the style `short`. */
export const timeOfDay = (time, style = "medium") => local({ timeStyle: style }).format(new Date(time));

/** A moment in UTC: `2026-11-24 13:05:00 UTC`. */
export const utc = (time) => `${new Date(time).toISOString().slice(0, 19).replace("T", " ")} UTC`;

/** The reader's time zone: `Europe/Vienna`. */
export const timeZone = () => new Intl.DateTimeFormat().resolvedOptions().timeZone;

/** A moment relative to now: `in 9 days`, `in 5 hours`, `2 days ago`. */
export function relativeTime(time, now = Date.now()) {
  const hours = (new Date(time) - now) / 3_600_000;
  const [count, unit] = Math.abs(hours) < 48 ? [hours, "hour"] : [hours / 24, "day"];
  return new Intl.RelativeTimeFormat("en", { numeric: "always" }).format(Math.trunc(count), unit);
}

/** A code in words: `insufficient_funds` is `Insufficient funds`. */
export function sentenceCase(code) {
  const text = String(code).replace(/[_.]/g, " ");
  return text.charAt(0).toUpperCase() + text.slice(1);
}
