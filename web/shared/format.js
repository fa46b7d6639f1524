// How money, times and cards are written.

/** Minor units as people read them: `money(49900, "usd")` is `$499.00`. Amounts stay whole numbers until here. */
export function money(amount, currency) {
  const format = new Intl.NumberFormat("en", { style: "currency", currency: currency.toUpperCase() });
  const { maximumFractionDigits: digits } = format.resolvedOptions();
  const text = String(amount).padStart(digits + 1, "0");
  return format.format(digits ? `${text.slice(0, -digits)}.${text.slice(-digits)}` : text);
}

const BRANDS = {
  visa: "Visa",
  mastercard: "Mastercard",
  amex: "American Express",
  discover: "Discover",
  diners: "Diners Club",
  jcb: "JCB",
  unionpay: "UnionPay",
};

/** `Visa ending in 4242`, `Bank account ending in 6789`. */
export function method({ type, brand, last4 }) {
  const name = type === "us_bank_account" ? "Bank account" : (BRANDS[brand] ?? "Card");
  return last4 ? `${name} ending in ${last4}` : name;
}

/** `12/34` of a card's expiry. */
export function expiry({ exp_month: month, exp_year: year }) {
  return month && year ? `${String(month).padStart(2, "0")}/${String(year).slice(-2)}` : "";
}

/** A day: `24 Nov 2026`. */
export function day(time) {
  return new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" }).format(new Date(time));
}

/** A moment: `24 Nov 2026, 14:05`. */
export function moment(time) {
  return new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "short" }).format(new Date(time));
}
