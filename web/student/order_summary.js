// The order beside the payment form: the track, the promotion code, and what there is to pay.
import { h } from "../shared/dom.js";
import { money } from "../shared/format.js";
import { currentUser } from "../shared/session.js";
import { getCatalog } from "./api.js";
import { promotionCode } from "./promotion_code.js";
import { texts } from "./text.js";
import { trackDrawing } from "./track_drawing.js";

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
  const element = panel(track, [
    price,
    code.element,
    totalLine(total),
    h("p", { class: "small" }, words.one_payment, " ", refundPromise(catalog)),
    user && h("p", { class: "small signed-in" }, words.signed_in(user.email)),
  ]);
  return { element, code };
}

/** The order that a visitor is about to begin, for the sign-in. The element is empty until the catalog is loaded. */
export function orderPreview(id) {
  const element = h("div", {});
  const showTrack = (catalog) => {
    const track = catalog.tracks.find((one) => one.track === id);
    if (!track) return;
    const total = h("span", { class: "price" }, money(track.amount, track.currency));
    const promise = h("p", { class: "small" }, words.one_payment, " ", refundPromise(catalog));
    element.append(panel(track, [totalLine(total), promise]));
  };
  getCatalog().then(showTrack, () => {}); // the sign-in works without it
  return element;
}

/** How the student can get their money back: in the EU by withdrawing from the contract, which is their right. */
export function refundPromise({ refund_window_days: days, consumer_region: region }) {
  if (region === "EU") return words.withdrawal(days);
  return days ? words.guarantee(days) : words.refund_on_request;
}

const totalLine = (total) => h("p", { class: "row spread total" }, h("span", {}, words.total), total);

function panel(track, lines) {
  const projects = track.projects.map((project) => h("li", {}, project.title));
  return h(
    "aside",
    { class: "panel summary", "aria-label": words.name },
    trackDrawing(track.track),
    h("h2", {}, h("a", { href: `#/tracks/${track.track}` }, track.title)),
    h("ol", { class: "projects" }, projects),
    ...lines,
  );
}
