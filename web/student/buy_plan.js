// Buying in several payments: the form that begins a payment plan or a membership.
import { h } from "../shared/dom.js";
import { money } from "../shared/format.js";
import { currentUser } from "../shared/session.js";
import * as api from "./api.js";
import { consentBox } from "./consent.js";
import { orderPanel } from "./order_panel.js";
import { beginPlanOnPage, beginPlanWithCheckout } from "./pay.js";
import { planForm } from "./plan_form.js";
import { expectedSchedule, scheduleStrip } from "./plan_schedule.js";
import { loadStripe } from "./stripe.js";
import { termsBox } from "./terms.js";
import { texts } from "./text.js";
import { waysToPay } from "./ways.js";

const words = texts.buy_plan;
const KEPT = { mode: "payment", usage: "off_session", checkout: true };

/**
 * `{form, order, begin(choice, signal), replaceConsent()}`: the form and the order of an offer, and what its button does.
 * `begin` returns the payment's id, as `payOnPage` does. `replaceConsent` shows the text that has changed.
 */
export function planPurchase({ product, offer, catalog, savedMethods, config }) {
  const { currency, amounts } = offer;
  const [amount] = amounts;
  const code = api.codeOf(product);
  const terms = termsBox({ track: code }, catalog);
  const consent = consentBox(offer.consent);
  const isCheckout = ({ kind }) => kind === "checkout";
  const form = planForm({
    buildWays: (listeners) =>
      waysToPay({
        ...{ charge: { amount, currency }, savedMethods, config, kept: KEPT, ...listeners },
        types: catalog.payment_method_types,
      }),
    parts: [h("p", { class: "small" }, words.ways), consent.element, terms.element],
    label: (choice) => (isCheckout(choice) ? words.to_stripe : words.pay(money(amount, currency))),
    busyLabel: (choice) => (isCheckout(choice) ? words.opening_stripe : words.paying),
    mayPay: () => consent.require() && terms.require(),
  });
  return {
    form: { ...form, terms },
    order: planOrder(product, offer, catalog),
    async begin(choice, signal) {
      const about = product.track ? { track: code } : { membership: code };
      const plan = { ...about, offer: offer.offer, consent: consent.version() };
      const agreed = { ...choice, terms: terms.version() };
      if (isCheckout(choice)) return beginPlanWithCheckout(plan, agreed, signal);
      return beginPlanOnPage(await loadStripe(config), plan, agreed, signal);
    },
    async replaceConsent() {
      const catalog = await api.reloadCatalog();
      const current = [...catalog.tracks, ...catalog.memberships].find((one) => api.codeOf(one) === code);
      const same = current?.offers.find((one) => one.offer === offer.offer);
      if (same) consent.replace(same.consent);
      else form.showError(texts.buy.offer_gone);
    },
  };
}

/** The order of an offer: its schedule if the first payment is received today, and what there is to pay now. */
function planOrder(product, offer, catalog) {
  const { currency, amounts, kind } = offer;
  const isMembership = kind === "membership";
  const strip = scheduleStrip(expectedSchedule(offer, catalog.school_time_zone), currency, isMembership ? undefined : amounts.length);
  const sum = [
    h("p", { class: "row spread small" }, h("span", {}, words.total), h("span", {}, money(offer.total, currency))),
    h("p", { class: "small" }, words.no_interest),
  ];
  const user = currentUser();
  return orderPanel({
    ...{ track: product, catalog },
    name: words.today,
    total: h("span", { class: "price" }, money(amounts[0], currency)),
    above: [h("p", { class: "small" }, words.dates), strip, ...(isMembership ? [] : sum)],
    below: user ? [h("p", { class: "small signed-in" }, words.signed_in(user.email))] : [],
    payments: isMembership ? words.until_canceled : words.several,
  });
}
