// The order beside the payment form: the track, the promotion code, and what there is to pay.
import { h } from "../shared/dom.js";
import { money } from "../shared/format.js";
import { currentUser } from "../shared/session.js";
import { orderPanel } from "./order_panel.js";
import { promotionCode } from "./promotion_code.js";
import { texts } from "./text.js";

const words = texts.order_summary;

/**
 * `{element, code}`: the order, with the field for a promotion code, which is `code` (see `promotionCode`). `discount`
 * is the code of an open payment, `typed` one that is not applied. `onChange` and `onError` are those of the code.
 */
export function orderSummary({ track, catalog, discount, typed, onChange, onError }) {
  const price = h("p", { class: "row spread small" });
  const total = h("span", { class: "price" });
  const showAmount = () => {
    const applied = code.applied();
    price.hidden = !applied;
    price.replaceChildren(h("span", {}, words.price), h("span", {}, money(track.amount, track.currency)));
    total.textContent = money(applied?.amount ?? track.amount, track.currency);
  };
  const onCode = () => {
    showAmount();
    onChange();
  };
  const code = promotionCode({ track, applied: discount, typed, onChange: onCode, onError });
  showAmount();
  const user = currentUser();
  const signedIn = user ? [h("p", { class: "small signed-in" }, words.signed_in(user.email))] : [];
  const element = orderPanel({ track, catalog, total, above: [price, code.element], below: signedIn });
  return { element, code };
}
