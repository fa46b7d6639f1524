// From "the money is on its way" to "you are enrolled": what happens, said as it happens.
import { action, announce, h, note, show, waiting } from "../shared/dom.js";
import { explain } from "../shared/api.js";
import { money } from "../shared/format.js";
import * as school from "./school.js";
import { watch } from "./watch.js";

/** So many looks (about ten seconds) until what is stored can no longer be older than what has just been paid. */
const FRESH_AFTER = 8;

/**
 * Show how a payment stands until it is decided. Answers the payment that is open again (declined, or closed unpaid),
 * for the student to pay; undefined once they are enrolled or have left. A first "declined" may be of the card before:
 * it counts after `patience` looks, or once the payment was seen processing.
 */
export async function settle({ main, signal, again }, track, id, patience = FRESH_AFTER) {
  const place = h("div", {}, waiting("Asking Stripe how your payment stands …"));
  show(main, "Your payment", h("div", { class: "panel" }, place));
  let said, processing;
  const say = (key, text, ...more) => {
    if (said === key) return;
    said = key;
    place.replaceChildren(...more);
    announce(text);
  };
  for await (const { payment, enrolled, trouble, look } of watch(id, signal)) {
    if (signal.aborted) return undefined;
    if (trouble) {
      say("trouble", explain(trouble), waiting("Trying again …"), note("info", h("p", {}, explain(trouble))));
    } else if (payment.status === "SUCCEEDED") {
      school.forgetBegun(track.track);
      (enrolled ? welcome : taken)(main, track, payment);
      return undefined;
    } else if (payment.status === "PROCESSING") {
      processing = true;
      const text =
        "Your bank is working on it. This can take up to four business days; you are enrolled as soon as it settles.";
      say(
        "processing",
        text,
        waiting("Processing"),
        note(
          "info",
          h("p", {}, text),
          h("p", {}, "You can close this page. Do not pay again: the payment is under way."),
        ),
      );
    } else if (!school.OPEN.includes(payment.status)) {
      return payment;
    } else if (payment.status === "FAILED" && (processing || look >= patience)) {
      return payment;
    } else if (look > FRESH_AFTER) {
      say(
        "long",
        "Stripe has not heard of a payment yet.",
        waiting("Still looking …"),
        note(
          "info",
          h("p", {}, "Stripe has not heard of a payment yet. Nothing has been taken."),
          h("p", {}, action("Go on paying", again)),
        ),
      );
    }
  }
  return undefined;
}

/** Paid, and yet not enrolled by it: the amount is not the price, or a dispute or the school took the access away. */
function taken(main, track, payment) {
  show(
    main,
    "Your payment needs a person",
    h(
      "div",
      { class: "panel" },
      note(
        "info",
        h("p", {}, `Your payment for ${track.title} has reached the school, and you are not enrolled by it.`),
        h("p", {}, "The school sees this too and looks into it: ask there before you pay again."),
      ),
      h("p", { class: "row" }, h("a", { class: "button", href: "#/payments" }, "My payments")),
    ),
  );
  announce("Your payment has reached the school, and you are not enrolled by it.");
}

function welcome(main, track, payment) {
  const paid =
    payment.amount === 0
      ? "Nothing was charged: your code paid for all of it."
      : `You paid ${money(payment.amount, payment.currency)}.`;
  show(
    main,
    `You are enrolled in ${track.title}`,
    h(
      "div",
      { class: "panel" },
      note("good", h("p", {}, paid), h("p", {}, `Your first project, “${track.projects[0].title}”, is unlocked.`)),
      h(
        "p",
        { class: "row" },
        h("a", { class: "button", href: "#/learning" }, "Start learning"),
        payment.receipt_url &&
          h("a", { href: payment.receipt_url, target: "_blank", rel: "noopener" }, "Receipt (opens a new tab)"),
        h("a", { href: "#/payments" }, "My payments"),
      ),
    ),
  );
  announce(`Paid. You are enrolled in ${track.title}.`);
}
