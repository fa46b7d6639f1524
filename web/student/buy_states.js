// The notes of the buy page: those instead of the payment form, and the one above it.
import { action, h, note, show } from "../shared/dom.js";
import { money, moment } from "../shared/format.js";
import * as session from "../shared/session.js";
import { describePlan } from "./plan_state.js";
import { contactLink } from "./school_links.js";
import { texts } from "./text.js";

const words = texts.buy_states;

export function showNotSold(main) {
  const links = [["#/", words.browse], ["#/learning", words.learning], ["#/payments", words.payments]];
  const items = links.map(([href, name]) => h("a", { class: "button quiet", href }, name));
  show(main, words.not_sold_title, h("p", {}, words.not_sold), h("p", { class: "row" }, ...items));
}

const panel = (...content) => h("div", { class: "panel" }, ...content);
const paymentsLink = () => h("p", { class: "row" }, h("a", { class: "button quiet", href: "#/payments" }, words.see_payments));

export function showAlreadyEnrolled(main, track, payment) {
  const receipt = payment && h("a", { href: `#/payments/${payment.payment_id}` }, words.see_payment);
  const links = h("p", { class: "row" }, h("a", { class: "button", href: "#/learning" }, words.continue), receipt);
  show(main, track.title, panel(note("good", h("p", {}, words.already_enrolled)), links));
}

/** Say that the student has a payment plan for this, which they can pay and change on its page. */
export function showCurrentPlan(main, product, plan) {
  const { sentence } = describePlan(plan);
  const links = h("p", { class: "row" }, h("a", { class: "button", href: `#/plans/${plan.plan_id}` }, words.see_plan));
  show(main, product.title, panel(note("info", h("p", {}, words.has_plan), sentence && h("p", {}, sentence)), links));
}

/** Say how to finish a payment that Stripe can no longer close, so no other can be started. */
export function showVerification(main, track, text) {
  show(main, track.title, panel(note("info", h("p", {}, text)), paymentsLink()));
}

/** Say why the student cannot buy this track. If buying is blocked, the API's text also says whom to write to. */
export function showNothingToBuy(main, track, text) {
  show(main, track.title, panel(note("bad", h("p", {}, text)), paymentsLink()));
}

/** Say before the form that the address of the sign-in is not verified, and how to verify it. */
export function showUnverifiedEmail({ main, config, reload }, track, catalog) {
  const { email } = session.currentUser();
  const signInAgain = () => {
    if (config.sign_in.kind === "cognito") return session.startHostedSignIn(config.sign_in, location.hash);
    session.clear();
    return reload();
  };
  const contact = contactLink(catalog.support_contact);
  show(
    main,
    words.unverified_title,
    panel(
      note("info", h("p", {}, words.unverified(email)), h("p", {}, words.unverified_how)),
      h("p", { class: "row" }, action(words.sign_in_again, signInAgain)),
      contact && h("p", { class: "small help" }, ...words.unverified_help(contact)),
    ),
  );
}

/** The note about an open payment above the form: since when, and why its last attempt failed. */
export function openPaymentNote(payment, canceled, discount) {
  if (!payment) return undefined;
  return note(
    "info",
    h("p", {}, canceled ? words.left_checkout : words.started(moment(payment.created_at))),
    payment.failure && h("p", {}, words.last_attempt(payment.failure.message)),
    discount && h("p", {}, words.code_applied(discount.code, money(discount.amount, payment.currency))),
    h("p", {}, words.pay_once),
  );
}

