// The choice between the full price and the offers of payment plans, before the ways to pay.
import { h } from "../shared/dom.js";
import { money } from "../shared/format.js";
import { laterPayments } from "./plan_schedule.js";
import { texts } from "./text.js";

const words = texts.plan_choice;
const FULL = "full";

/** The name of an offer: `Pay in 4 installments`, `Monthly membership`. */
export function offerName({ kind, amounts, every }) {
  return kind === "membership" ? words.membership[every] : words.installments(amounts.length);
}

/**
 * The choice as radio buttons. `preferred` is the name of an offer, by default the full price. `onChange` receives the
 * chosen offer, undefined for the full price.
 */
export function planChoice({ product, preferred = FULL, onChange }) {
  const { offers, amount } = product;
  const option = (value, name, ...details) =>
    h(
      "label",
      { class: "way" },
      h("input", { type: "radio", name: "offer", value, checked: value === preferred }),
      h("span", {}, h("span", { class: "strong" }, name), details.filter(Boolean).map((text) => h("span", { class: "small line" }, text))),
    );
  const full = product.track && option(FULL, words.full, words.full_now(money(amount, product.currency)));
  const plans = offers.map((offer) =>
    option(
      offer.offer,
      offerName(offer),
      words.now(money(offer.amounts[0], offer.currency)),
      laterPayments(offer),
      offer.kind === "installments" && words.total(money(offer.total, offer.currency)),
    ),
  );
  const element = h("fieldset", { class: "offers" }, h("legend", {}, words.legend), full, plans);
  element.addEventListener("change", ({ target }) => onChange(offers.find(({ offer }) => offer === target.value)));
  return element;
}
