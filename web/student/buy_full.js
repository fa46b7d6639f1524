// Buying at the full price: the payment form and the order, with its promotion code.
import { orderSummary } from "./order_summary.js";
import { buildPaymentForm } from "./payment_form.js";

/**
 * `{form, order, code}`: the form, the order, and its promotion code. `openPayment` is an unpaid payment that was started
 * before. `onError` receives why a code could not be checked.
 */
export function fullPurchase({ product: track, catalog, config, savedMethods, openPayment, onError }) {
  const started = openPayment?.resume ?? undefined;
  const discount = appliedDiscount(openPayment, track);
  const typed = discount ? undefined : started?.promotion_code;
  const order = orderSummary({ track, catalog, discount, typed, onChange: () => form.showCode(), onError });
  const form = buildPaymentForm({ track, catalog, savedMethods, config, started, code: order.code });
  return { form, order: order.element, code: order.code };
}

/** The promotion code of an open Checkout session; undefined without one, or after the price has changed. */
export function appliedDiscount(openPayment, track) {
  const code = openPayment?.resume?.promotion_code;
  if (!code) return undefined;
  const { amount, discount } = openPayment;
  return discount > 0 && amount + discount === track.amount ? { code, discount, amount } : undefined;
}
