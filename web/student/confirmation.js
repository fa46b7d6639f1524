// After paying: follow the payment until the student is enrolled, and show every state on the way.
import { explain } from "../shared/api.js";
import { action, announce, h, loading, note, show } from "../shared/dom.js";
import { differsFromPrice, money } from "../shared/format.js";
import * as api from "./api.js";
import { describe } from "./payment_state.js";
import { pollPayment } from "./poll.js";
import { texts } from "./text.js";

const words = texts.confirmation;

/** After this many attempts (about ten seconds) the stored status must include the payment that was just made. */
const FRESH_AFTER_ATTEMPTS = 8;

/**
 * Show a payment's status until it is final. Returns the payment if the student has to pay again (it failed or was
 * closed), undefined if they are enrolled or have left the view. The first FAILED may belong to the card before, so it
 * counts only after `failedAfter` attempts, or once the payment has been processing.
 */
export async function followPayment({ main, signal, reload }, track, id, failedAfter = FRESH_AFTER_ATTEMPTS) {
  const container = h("div", {}, loading(words.confirming));
  show(main, words.title, h("div", { class: "panel" }, container));
  announce(words.confirming);
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
      showState("error", explain(error), loading(words.trying_again), note("info", h("p", {}, explain(error))));
    } else if (payment.status === "SUCCEEDED") {
      if (enrolled) showConfirmation(track, payment);
      else showUnderReview(main, track, payment);
      return undefined;
    } else if (payment.status === "PROCESSING") {
      processing = true;
      showState("processing", words.processing_text, loading(words.processing), processingNote());
    } else if (!api.isOpen(payment)) {
      return payment;
    } else if (payment.status === "FAILED" && (processing || attempt >= failedAfter)) {
      return payment;
    } else if (attempt > FRESH_AFTER_ATTEMPTS) {
      showState("not_received", words.not_received, loading(words.still_checking), notReceivedNote(reload));
    }
  }
  return undefined;
}

function processingNote() {
  return note("info", h("p", {}, words.processing_text), h("p", {}, words.advice));
}

function notReceivedNote(reload) {
  return note("info", h("p", {}, words.not_received), h("p", {}, action(words.complete, reload)));
}

/** Paid, but not enrolled: the amount differs from the price, or a dispute or staff ended the access. */
function showUnderReview(main, track, payment) {
  const text = payment.no_access_reason ? describe({ payment }).sentence : words.checking(track.title);
  show(
    main,
    words.checking_title,
    h(
      "div",
      { class: "panel" },
      note(
        "info",
        h("p", {}, text),
        differsFromPrice(payment) && h("p", {}, paidText(payment)),
        h("p", {}, words.notified),
      ),
      h("p", { class: "row" }, h("a", { class: "button", href: "#/payments" }, words.my_payments)),
    ),
  );
  announce(text);
}

function paidText({ amount, currency, price }) {
  return `${words.paid(money(amount, currency))} ${words.price_was(money(price.amount, price.currency))}`;
}

/** Go to the page of the payment or its plan, which is the lasting confirmation. Back does not return to the form. */
function showConfirmation(track, payment) {
  const { payment_id: id, plan_id: plan, amount, currency } = payment;
  location.replace(plan ? `#/plans/${plan}` : `#/payments/${id}`);
  announce(plan ? words.received_part(money(amount, currency), track.title) : words.received(track.title));
}
