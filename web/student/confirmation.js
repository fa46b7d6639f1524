// After paying: follow the payment until the student is enrolled, and show every state on the way.
import { explain } from "../shared/api.js";
import { action, announce, h, loading, note, show } from "../shared/dom.js";
import { differsFromPrice, money } from "../shared/format.js";
import * as api from "./api.js";
import { describe } from "./payment_state.js";
import { pollPayment } from "./poll.js";

/** After this many attempts (about ten seconds) the stored status must include the payment that was just made. */
const FRESH_AFTER_ATTEMPTS = 8;

const PROCESSING_TEXT =
  "Your bank is processing the payment. This usually takes up to four business days. " +
  "We’ll enroll you as soon as it clears.";
const NOT_RECEIVED_TEXT = "We haven’t received a payment yet, and you haven’t been charged.";

/**
 * Show a payment's status until it is final. Returns the payment if the student has to pay again (it failed or was
 * closed), undefined if they are enrolled or have left the view. The first FAILED may belong to the card before, so it
 * counts only after `failedAfter` attempts, or once the payment has been processing.
 */
export async function followPayment({ main, signal, reload }, track, id, failedAfter = FRESH_AFTER_ATTEMPTS) {
  const container = h("div", {}, loading("Confirming your payment…"));
  show(main, "Your payment", h("div", { class: "panel" }, container));
  let shown, processing;
  const showState = (name, text, ...content) => {
    if (shown === name) return;
    shown = name;
    container.replaceChildren(...content);
    announce(text);
  };
  for await (const { payment, enrolled, error, attempt } of pollPayment(id, signal)) {
    if (signal.aborted) return undefined;
    if (error) {
      showState("error", explain(error), loading("Trying again…"), note("info", h("p", {}, explain(error))));
    } else if (payment.status === "SUCCEEDED") {
      (enrolled ? showEnrolled : showUnderReview)(main, track, payment);
      return undefined;
    } else if (payment.status === "PROCESSING") {
      processing = true;
      showState("processing", PROCESSING_TEXT, loading("Processing"), processingNote());
    } else if (!api.isOpen(payment)) {
      return payment;
    } else if (payment.status === "FAILED" && (processing || attempt >= failedAfter)) {
      return payment;
    } else if (attempt > FRESH_AFTER_ATTEMPTS) {
      showState("not received", NOT_RECEIVED_TEXT, loading("Still checking…"), notReceivedNote(reload));
    }
  }
  return undefined;
}

function processingNote() {
  const advice = "You can close this page. Please don’t pay again: your payment is on its way.";
  return note("info", h("p", {}, PROCESSING_TEXT), h("p", {}, advice));
}

function notReceivedNote(reload) {
  return note("info", h("p", {}, NOT_RECEIVED_TEXT), h("p", {}, action("Complete payment", reload)));
}

/** Paid, but not enrolled: the amount differs from the price, or a dispute or staff ended the access. */
function showUnderReview(main, track, payment) {
  const checking = `We received your payment for ${track.title}, but we need to check it before we can enroll you.`;
  const text = payment.no_access_reason ? describe({ payment }).sentence : checking;
  show(
    main,
    "We’re checking your payment",
    h(
      "div",
      { class: "panel" },
      note(
        "info",
        h("p", {}, text),
        differsFromPrice(payment) && h("p", {}, paidText(payment)),
        h("p", {}, "We’ve been notified and will get back to you. Please contact us before you pay again."),
      ),
      h("p", { class: "row" }, h("a", { class: "button", href: "#/payments" }, "My payments")),
    ),
  );
  announce(text);
}

function paidText(payment) {
  const { amount, currency, price } = payment;
  const priceText = differsFromPrice(payment) ? ` The price was ${money(price.amount, price.currency)}.` : "";
  return `You paid ${money(amount, currency)}.${priceText}`;
}

function showEnrolled(main, track, payment) {
  const paid =
    payment.amount === 0 && !differsFromPrice(payment)
      ? "Your promotion code covered the full price. Nothing was charged."
      : paidText(payment);
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
  announce(`Payment received. You are enrolled in ${track.title}.`);
}
