// The order as a panel: the track, what there is to pay, and the refund promise. The order summary and the sign-in have it.
import { h } from "../shared/dom.js";
import { money } from "../shared/format.js";
import { codeOf, getCatalog } from "./api.js";
import { refundPromise } from "./school_links.js";
import { texts } from "./text.js";
import { trackDrawing } from "./tracks.js";

const words = texts.order_panel;

/**
 * The panel of a track or a membership, with lines between the name and the total, and others below it. `total` is an
 * element, `name` what it is, and `payments` a sentence about how many payments there are.
 */
export function orderPanel({ track, catalog, total, name, payments, above = [], below = [] }) {
  const projects = track.projects?.map((project) => h("li", {}, project.title));
  const code = codeOf(track);
  return h(
    "aside",
    { class: "panel summary", "aria-label": words.name },
    trackDrawing(code),
    h("h2", {}, track.track ? h("a", { href: `#/tracks/${code}` }, track.title) : track.title),
    projects ? h("ol", { class: "projects" }, projects) : h("p", {}, track.summary),
    ...above,
    h("p", { class: "row spread total" }, h("span", {}, name ?? words.total), total),
    h("p", { class: "small" }, payments ?? words.one_payment, " ", refundPromise(catalog)),
    ...below,
  );
}

/** The order that a visitor is about to begin, for the sign-in. The element is empty until the catalog is loaded. */
export function orderPreview(id) {
  const element = h("div", {});
  const showTrack = (catalog) => {
    const track = catalog.tracks.find((one) => one.track === id);
    if (!track) return; // a membership has no price without one of its offers
    const total = h("span", { class: "price" }, money(track.amount, track.currency));
    element.append(orderPanel({ track, catalog, total }));
  };
  getCatalog().then(showTrack, () => {}); // the sign-in works without it
  return element;
}
