// Buying a track: the payment form, and what to show instead if the student has paid or started to pay.
import { explain, Problem, SessionExpired } from "../shared/api.js";
import { action, h, icon, loading, note, show } from "../shared/dom.js";
import { currentUser } from "../shared/session.js";
import * as api from "./api.js";
import * as states from "./buy_states.js";
import { followPayment } from "./confirmation.js";
import { orderSummary } from "./order_summary.js";
import { confirmWithBank, PaymentDeclined, payOnPage, payWithCheckout, readInterrupted } from "./pay.js";
import { buildPaymentForm } from "./payment_form.js";
import { describe } from "./payment_state.js";
import { loadStripe, StripeNotLoaded } from "./stripe.js";
import { texts } from "./text.js";

const words = texts.buy;

/**
 * The view `#/buy/DP`. `arrival` tells how the student came back from Stripe: `{canceled: true}` from Checkout without
 * paying, `{paid: id, refused}` after paying or trying to.
 */
export async function buyView(context, id, arrival = {}) {
  loadStripe(context.config).catch(() => {}); // while the API answers; the form shows the error
  const track = await api.getTrack(id);
  if (!track) states.showNotSold(context.main);
  else if (arrival.paid) await follow(context, track, arrival.paid, arrival.refused ? 0 : undefined);
  else await showCurrentState(context, track, arrival);
}

/** The view `#/paid/cs_…`, where a Checkout leads that was not opened by this page. */
export async function paidView(context, id) {
  const { track } = await api.getPayment(id);
  await buyView(context, track, { paid: id });
}

/** Show the enrollment or the payment in progress, if there is one; the payment form otherwise. */
async function showCurrentState(context, track, options = {}) {
  show(context.main, track.title, loading(words.loading));
  const [state, savedMethods] = await Promise.all([
    api.getTrackState(track.track),
    api.listSavedMethodsIfAvailable(),
  ]);
  if (context.signal.aborted) return;
  const { actions, sentence } = describe(state);
  const payment = state.enrollment?.payment;
  const canBuy = actions.includes("complete") || actions.includes("enroll");
  if (actions.includes("learn")) states.showAlreadyEnrolled(context.main, track, payment);
  else if (payment?.verify_by) states.showVerification(context.main, track, sentence);
  else if (actions.includes("view")) await follow(context, track, payment.payment_id);
  else if (!canBuy) states.showNothingToBuy(context.main, track, sentence);
  else if (currentUser()?.email_verified === false) await showUnverifiedEmail(context, track);
  else {
    const openPayment = actions.includes("complete") ? payment : undefined;
    await showForm(context, track, { savedMethods, openPayment, ...options });
  }
}

const showUnverifiedEmail = async (context, track) =>
  states.showUnverifiedEmail(context, track, await api.getCatalog());

/** Follow a payment until it is final. If it failed or was closed, the student can pay again. */
async function follow(context, track, paymentId, failedAfter) {
  const payment = await followPayment(context, track, paymentId, failedAfter);
  if (!payment) return;
  if (payment.status === "REFUNDED") return showCurrentState(context, track);
  const open = api.isOpen(payment);
  const reason = payment.failure?.message ?? (open ? words.failed : words.canceled);
  const problem = words.not_charged(reason);
  if (!open) return showCurrentState(context, track, { problem });
  const savedMethods = await api.listSavedMethodsIfAvailable();
  return showForm(context, track, { savedMethods, openPayment: payment, problem });
}

/** The payment form. It resumes `openPayment`, an unpaid payment that was started before. */
async function showForm(context, track, { savedMethods, openPayment, canceled, problem }) {
  const { main, config } = context;
  const catalog = await api.getCatalog();
  const started = openPayment?.resume ?? undefined;
  const discount = appliedDiscount(openPayment, track);
  const order = orderSummary({
    ...{ track, catalog, discount },
    typed: discount ? undefined : started?.promotion_code,
    onChange: () => form.showCode(),
    onError: (error) => handleError(context, track, { form, code: order.code }, error),
  });
  const form = buildPaymentForm({ track, catalog, savedMethods, config, started, code: order.code });
  const view = { form, code: order.code };
  const message = problem
    ? note("bad", h("p", {}, problem))
    : states.openPaymentNote(openPayment, canceled, discount);
  const columns = h("div", { class: "columns buy" }, h("div", { class: "panel" }, form.element), order.element);
  show(main, words.title(track.title), message, columns);
  form.onSubmit((choice) => pay(context, track, view, choice));
  form.onExpress((choice) => pay(context, track, view, choice)).catch(() => {}); // the list offers every other way
  if (started?.kind === "intent" && openPayment.status === "CREATED")
    await resume(context, track, view, started, message);
}

/** The promotion code of an open Checkout session; undefined without one, or after the price has changed. */
function appliedDiscount(openPayment, track) {
  const code = openPayment?.resume?.promotion_code;
  if (!code) return undefined;
  const { amount, discount } = openPayment;
  return discount > 0 && amount + discount === track.amount ? { code, discount, amount } : undefined;
}

/** Resume a payment that was interrupted: it may be paid already, or need the bank's confirmation. */
async function resume(context, track, view, started, message) {
  try {
    const stripe = await loadStripe(context.config);
    const interrupted = await readInterrupted(stripe, track.track, started);
    if (context.signal.aborted || view.form.isBusy()) return;
    if (interrupted.paid) await follow(context, track, interrupted.paymentId);
    else if (interrupted.needsAction) {
      const confirm = () => attempt(context, track, view, () => confirmWithBank(stripe, interrupted));
      const content = [h("p", {}, words.bank_needs_you), action(words.confirm_with_bank, confirm)];
      message.replaceChildren(icon("shield"), h("div", {}, ...content));
    } else if (interrupted.failureMessage) view.form.showError(interrupted.failureMessage);
  } catch (error) {
    await handleError(context, track, view, error);
  }
}

const pay = (context, track, view, choice) =>
  attempt(context, track, view, async () => {
    if (choice.kind === "checkout") return payWithCheckout(track.track, choice, context.signal);
    const stripe = await loadStripe(context.config);
    return payOnPage(stripe, track.track, choice, context.signal);
  });

/** Run one attempt to pay at a time, and follow the payment that it returns. Returns why it failed, if it did. */
async function attempt(context, track, view, work) {
  if (view.form.isBusy()) return undefined;
  view.form.setBusy(true);
  try {
    const paymentId = await work();
    await follow(context, track, paymentId);
    return undefined;
  } catch (error) {
    if (error === context.signal.reason) return undefined;
    await handleError(context, track, view, error);
    return error instanceof PaymentDeclined ? error.message : explain(error);
  } finally {
    view.form.setBusy(false);
  }
}

async function handleError(context, track, { form, code }, error) {
  if (error instanceof SessionExpired) throw error;
  if (error instanceof PaymentDeclined && error.field === "element") return; // Stripe's fields say it, with the focus
  if (error instanceof PaymentDeclined && error.field === "code") code.refuse(error.message);
  else if (error instanceof PaymentDeclined || error instanceof StripeNotLoaded) form.showError(error.message);
  else if (!(error instanceof Problem)) form.showError(explain(error));
  else if (error.type === "already-enrolled") states.showAlreadyEnrolled(context.main, track);
  else if (error.type === "payment-in-progress") await showCurrentState(context, track);
  else if (error.type === "terms-changed") form.terms.replace(await api.reloadCatalog());
  else if (error.status === 403) await showUnverifiedEmail(context, track);
  else if (["purchases-blocked", "not-selling"].includes(error.type))
    states.showNothingToBuy(context.main, track, explain(error));
  else form.showError(explain(error));
}
