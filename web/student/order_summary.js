// The order beside the payment form: the track, and what the chosen way to pay costs.
import { h } from "../shared/dom.js";
import { money } from "../shared/format.js";
import { trackDrawing } from "./track_drawing.js";

/** `{element, showAmount(amount)}`: the order, with the discount if the amount is below the price. */
export function orderSummary(track, refundDays, region) {
  const promise = promiseOf(refundDays, region);
  const line = (name, amount, className = "small") =>
    h("p", { class: `row spread ${className}` }, h("span", {}, name), h("span", {}, amount));
  const lines = h("div", {});
  const total = h("span", { class: "price" });
  const element = h(
    "aside",
    { class: "panel summary", "aria-label": "Order summary" },
    trackDrawing(track.track),
    h("h2", {}, track.title),
    h(
      "ol",
      { class: "projects" },
      track.projects.map((project) => h("li", {}, project.title)),
    ),
    lines,
    h("p", { class: "row spread total" }, h("span", {}, "Total"), total),
    h("p", { class: "small" }, `One payment, no subscription. ${promise}`),
  );
  const showAmount = (amount) => {
    const discount = track.amount - amount;
    lines.replaceChildren(
      ...(discount > 0
        ? [
            line("Price", money(track.amount, track.currency)),
            line("Promotion code", money(-discount, track.currency)),
          ]
        : []),
    );
    total.textContent = money(amount, track.currency);
  };
  return { element, showAmount };
}

/** How the student can get their money back: in the EU by withdrawing from the contract, which is their right. */
function promiseOf(refundDays, region) {
  if (region === "EU") return `You can withdraw from the contract for ${refundDays} days without a reason, under Payments.`;
  if (refundDays) return `${refundDays}-day money-back guarantee: ask for a refund under Payments.`;
  return "You can ask for a refund under Payments.";
}
