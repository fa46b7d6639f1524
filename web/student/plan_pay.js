// Paying installments of a plan, and choosing the payment method of the later ones.
import { explain, SessionExpired } from "../shared/api.js";
import { announce, h, note, show } from "../shared/dom.js";
import { money } from "../shared/format.js";
import * as api from "./api.js";
import { followPayment } from "./confirmation.js";
import { PaymentDeclined, payPlanOnPage, setUpInStripe, setUpMethod } from "./pay.js";
import { planForm } from "./plan_form.js";
import { planPage } from "./plan_page.js";
import { loadStripe, StripeNotLoaded } from "./stripe.js";
import { texts } from "./text.js";
import { waysToPay } from "./ways.js";

const words = texts.plan_pay;
const LATER = { mode: "payment", usage: null, checkout: false }; // as the intent; the confirmation says that it is kept
const UNPAID = ["CREATED", "FAILED"];
const SETUP = { mode: "setup", usage: "off_session", checkout: false };

const payable = (plan, what) => (plan.payable ? plan[what] : undefined);
const backLink = (plan) => h("p", { class: "row" }, h("a", { href: `#/plans/${plan.plan_id}` }, words.back));

/** The view `#/plans/pln_1/pay/due`: pay the `next` installment, all that are `due`, or the `rest`. */
export async function payPlanView(context, plan, what, problem) {
  const { main, config, signal, title } = context;
  const sum = ["next", "due", "rest"].includes(what) && payable(plan, what);
  if (!sum) return show(main, title, h("div", { class: "panel" }, note("info", h("p", {}, words.nothing)), backLink(plan)));
  const { amount, seqs } = sum;
  const keep = seqs.length !== plan.rest?.seqs.length; // not for the last payment
  const shownAmount = money(amount, plan.currency);
  const form = planForm({
    buildWays: await ways(context, plan, { amount, currency: plan.currency }, LATER),
    parts: [keep && h("p", { class: "small" }, words.kept)],
    label: () => words.pay(shownAmount),
    busyLabel: () => words.paying,
  });
  form.onSubmit((choice) =>
    attempt(context, form, async () => {
      const stripe = await loadStripe(config);
      const paymentId = await payPlanOnPage(stripe, plan.plan_id, what, { keep, ...choice }, signal);
      const payment = await followPayment(context, { title, track: plan.track }, paymentId);
      if (!payment) return;
      await payPlanView(context, await api.getPlan(plan.plan_id), what, whyNotCharged(payment));
    }),
  );
  return show(
    main,
    words.title(title),
    problem && note("bad", h("p", {}, problem)),
    h("div", { class: "panel narrow" }, h("p", { class: "lead" }, words.covers(shownAmount, seqs, plan.total !== null)), form.element),
    backLink(plan),
  );
}

const whyNotCharged = ({ failure }) => words.not_charged(failure?.message ?? words.failed);

/** Show the plan after its student has come back from the bank that had to confirm a payment. */
export async function paidAtBank(context, { plan_id: id, currency }, intentId) {
  const payment = await api.getPayment(intentId); // which the API syncs, so the plan is read after it
  const plan = await api.getPlan(id);
  const { status, amount } = payment;
  if (status === "SUCCEEDED") await showResult(context, plan, texts.confirmation.received_part(money(amount, currency), context.title));
  else await planPage(context, plan, undefined, UNPAID.includes(status) && whyNotCharged(payment));
}

/** The same for the bank that had to confirm a payment method. If it refused, the student can choose another one. */
export async function setUpAtBank(context, plan, clientSecret) {
  const { plan_id: id } = plan;
  try {
    const method = await setUpInStripe(await loadStripe(context.config), clientSecret);
    await showResult(context, await api.choosePlanMethod(id, method), words.method_chosen);
  } catch (error) {
    if (!(error instanceof PaymentDeclined)) throw error;
    history.replaceState(null, "", `#/plans/${id}/method`);
    await chooseMethodView(context, plan, undefined, error.message || words.not_confirmed);
  }
}

async function showResult(context, plan, text) {
  await planPage(context, plan, text);
  announce(text);
}

/** The view `#/plans/pln_1/method`: choose the payment method of the later installments, and confirm it with its bank. */
export async function chooseMethodView(context, plan, _, problem) {
  const { main, config, signal, title } = context;
  const { plan_id: id, currency } = plan;
  const form = planForm({
    buildWays: await ways(context, plan, { currency }, SETUP),
    parts: [h("p", { class: "small" }, words.method_consent)],
    label: () => words.use,
    busyLabel: () => words.saving,
  });
  form.onSubmit((choice) =>
    attempt(context, form, async () => {
      const method = await setUpMethod(await loadStripe(config), id, choice, signal);
      const updated = await api.choosePlanMethod(id, method);
      history.pushState(null, "", `#/plans/${id}`);
      await showResult(context, updated, words.method_chosen);
    }),
  );
  show(
    main,
    words.method_title(title),
    problem && note("bad", h("p", {}, problem)),
    h("p", { class: "lead" }, words.method_lead),
    h("div", { class: "panel narrow" }, form.element),
    backLink(plan),
  );
}

/** The function that builds the ways to pay a plan, with the method that is charged next first. */
async function ways({ config, catalog }, plan, charge, kept) {
  const savedMethods = await api.listSavedMethodsIfAvailable();
  const started = { payment_method: plan.payment_method?.id };
  const types = catalog.payment_method_types;
  return (listeners) => waysToPay({ charge, types, savedMethods, started, config, kept, ...listeners });
}

/** Run one attempt at a time, and say at the form why it failed. */
async function attempt({ signal }, form, work) {
  form.setBusy(true);
  try {
    await work();
  } catch (error) {
    if (error === signal.reason) return;
    if (error instanceof SessionExpired) throw error;
    if (error instanceof PaymentDeclined && error.field === "element") return; // Stripe's fields say it, with the focus
    const isSentence = error instanceof PaymentDeclined || error instanceof StripeNotLoaded;
    form.showError(isSentence ? error.message : explain(error));
  } finally {
    form.setBusy(false);
  }
}
