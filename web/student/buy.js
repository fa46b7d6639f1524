// Buying a track or a membership: the payment form, and what to show instead if the student has paid or started to pay.
import { explain, Problem, SessionExpired } from "../shared/api.js";
import { action, h, icon, loading, note, show } from "../shared/dom.js";
import { currentUser } from "../shared/session.js";
import * as api from "./api.js";
import * as states from "./buy_states.js";
import { appliedDiscount, fullPurchase } from "./buy_full.js";
import { planPurchase } from "./buy_plan.js";
import { followPayment } from "./confirmation.js";
import { confirmWithBank, PaymentDeclined, payOnPage, payWithCheckout, readInterrupted } from "./pay.js";
import { describe } from "./payment_state.js";
import { planChoice } from "./plan_choice.js";
import { isCurrent, isProcessing } from "./plan_state.js";
import { loadStripe, StripeNotLoaded } from "./stripe.js";
import { texts } from "./text.js";

const words = texts.buy;

/**
 * The view `#/buy/DP`, or `#/buy/DP/4x` with an offer. The last value tells how the student came back from Stripe:
 * `{canceled: true}` from Checkout without paying, `{paid: id, refused}` after paying or trying to.
 */
export async function buyView(context, id, ...rest) {
  const arrival = rest.at(-1) ?? {};
  const [offer] = rest.slice(0, -1);
  loadStripe(context.config).catch(() => {}); // while the API answers; the form shows the error
  const track = await api.getProduct(id);
  if (!track) states.showNotSold(context.main);
  else if (arrival.paid) await follow(context, track, arrival.paid, arrival.refused ? 0 : undefined);
  else await showCurrentState(context, track, { offer, ...arrival });
}

/** The view `#/paid/cs_…`, where a Checkout leads that was not opened by this page. */
export async function paidView(context, id) {
  const payment = await api.getPayment(id);
  await buyView(context, api.codeOf(payment), { paid: id });
}

/** Show the enrollment or the payment in progress, if there is one; the payment form otherwise. */
async function showCurrentState(context, track, options = {}) {
  show(context.main, track.title, loading(words.loading));
  const code = api.codeOf(track);
  const [state, savedMethods, plans] = await Promise.all([
    api.getTrackState(code),
    api.listSavedMethodsIfAvailable(),
    api.listPlans(),
  ]);
  if (context.signal.aborted) return;
  const plan = plans.find((one) => api.codeOf(one) === code && isCurrent(one));
  const first = plan?.status === "OPEN" ? (await api.readPaymentsOfPlan(plan)).first : undefined;
  const { actions, sentence } = describe(state);
  const payment = state.enrollment?.payment;
  const canBuy = actions.includes("complete") || actions.includes("enroll");
  if (plan && (plan.status !== "OPEN" || isProcessing(plan))) states.showCurrentPlan(context.main, track, plan);
  else if (first?.verify_by) states.showVerification(context.main, track, describe({ payment: first }).sentence);
  else if (actions.includes("learn")) states.showAlreadyEnrolled(context.main, track, payment);
  else if (payment?.verify_by) states.showVerification(context.main, track, sentence);
  else if (actions.includes("view")) await follow(context, track, payment.payment_id);
  else if (!canBuy) states.showNothingToBuy(context.main, track, sentence);
  else if (currentUser()?.email_verified === false) await showUnverifiedEmail(context, track);
  else {
    const openPayment = actions.includes("complete") && !plan ? payment : undefined;
    await showForm(context, track, { savedMethods, openPayment, plan, first, ...options });
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
  if (!open || payment.plan_id) return showCurrentState(context, track, { problem });
  const savedMethods = await api.listSavedMethodsIfAvailable();
  return showForm(context, track, { savedMethods, openPayment: payment, problem });
}

/**
 * The payment form, below the choice between the full price and the offers, if there are any. It resumes `openPayment`, an
 * unpaid payment that was started before, or `plan`, whose `first` payment is open.
 */
async function showForm(context, track, options) {
  const { openPayment, plan, first, canceled, problem } = options;
  const { main } = context;
  const shared = { product: track, catalog: await api.getCatalog(), config: context.config };
  const offered = track.offers.find(({ offer }) => offer === (options.offer ?? plan?.offer));
  const preferred = offered ?? (track.track ? undefined : track.offers[0]);
  const panel = h("div", {});
  const order = h("div", {});
  const view = {};
  const choose = (offer) => {
    const purchase = offer
      ? planPurchase({ ...shared, offer, savedMethods: options.savedMethods })
      : fullPurchase({ ...shared, ...options, onError: (error) => handleError(context, track, view, error) });
    Object.assign(view, { code: undefined, begin: undefined, replaceConsent: undefined }, purchase);
    const onSubmit = (choice) => pay(context, track, view, choice);
    view.form.onSubmit(onSubmit);
    view.form.onExpress?.(onSubmit).catch(() => {}); // the list offers every other way
    panel.replaceChildren(view.form.element);
    order.replaceChildren(view.order);
  };
  if (track.offers.length) view.choice = planChoice({ product: track, preferred: preferred?.offer, onChange: choose });
  choose(preferred);
  const message = problem
    ? note("bad", h("p", {}, problem))
    : states.openPaymentNote(openPayment ?? first ?? plan, canceled, appliedDiscount(openPayment, track));
  const columns = h("div", { class: "columns buy" }, h("div", { class: "panel" }, view.choice, panel), order);
  show(main, track.track ? words.title(track.title) : words.join(track.title), message, columns);
  const started = openPayment?.resume;
  if (started?.kind === "intent" && openPayment.status === "CREATED")
    await resume(context, track, view, started, message);
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
    if (view.begin) return view.begin(choice, context.signal);
    if (choice.kind === "checkout") return payWithCheckout(track.track, choice, context.signal);
    const stripe = await loadStripe(context.config);
    return payOnPage(stripe, track.track, choice, context.signal);
  });

/** Run one attempt to pay at a time, and follow the payment that it returns. Returns why it failed, if it did. */
async function attempt(context, track, view, work) {
  if (view.form.isBusy()) return undefined;
  const setBusy = (busy) => {
    view.form.setBusy(busy);
    if (view.choice) view.choice.disabled = busy;
  };
  setBusy(true);
  try {
    const paymentId = await work();
    await follow(context, track, paymentId);
    return undefined;
  } catch (error) {
    if (error === context.signal.reason) return undefined;
    await handleError(context, track, view, error);
    return error instanceof PaymentDeclined ? error.message : explain(error);
  } finally {
    setBusy(false);
  }
}

async function handleError(context, track, { form, code, replaceConsent }, error) {
  if (error instanceof SessionExpired) throw error;
  if (error instanceof PaymentDeclined && error.field === "element") return; // Stripe's fields say it, with the focus
  if (error instanceof PaymentDeclined && error.field === "code") code.refuse(error.message);
  else if (error instanceof PaymentDeclined || error instanceof StripeNotLoaded) form.showError(error.message);
  else if (!(error instanceof Problem)) form.showError(explain(error));
  else if (error.type === "already-enrolled") states.showAlreadyEnrolled(context.main, track);
  else if (error.type === "payment-in-progress") await showCurrentState(context, track);
  else if (error.type === "plan-open") location.assign(`#/plans/${error.planId}`);
  else if (error.type === "consent-outdated") await replaceConsent();
  else if (["unknown-offer", "region-not-offered"].includes(error.type)) form.showError(words.offer_gone);
  else if (error.type === "terms-changed") form.terms.replace(await api.reloadCatalog());
  else if (error.status === 403) await showUnverifiedEmail(context, track);
  else if (["purchases-blocked", "not-selling"].includes(error.type))
    states.showNothingToBuy(context.main, track, explain(error));
  else form.showError(explain(error));
}
