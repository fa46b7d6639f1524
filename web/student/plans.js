// Payment plans: `#/plans/pln_1` is the page of a plan, with views to pay, to choose a payment method, and the statement.
import { Problem } from "../shared/api.js";
import { h, show } from "../shared/dom.js";
import * as api from "./api.js";
import { planPage } from "./plan_page.js";
import { chooseMethodView, payPlanView, paidAtBank, setUpAtBank } from "./plan_pay.js";
import { statementView } from "./plan_statement.js";
import { texts } from "./text.js";

const words = texts.plans;
const VIEWS = { pay: payPlanView, method: chooseMethodView, statement: statementView };

/**
 * The views `#/plans/pln_1`, `…/pay/due`, `…/method` and `…/statement`. The last value tells how the student came back from
 * their bank: `{paid}` is the id of the PaymentIntent that was confirmed there, `{setup}` the client secret of the SetupIntent.
 */
export async function plansView(context, id, ...rest) {
  const arrival = rest.at(-1) ?? {};
  const [name, what] = rest.slice(0, -1);
  if (!id) return location.replace("#/payments");
  const [plan, catalog, titles] = await Promise.all([readPlan(id), api.getCatalog(), api.getTitles()]);
  if (!plan) return showNotFound(context.main);
  const shown = { ...context, catalog, title: titles.get(api.codeOf(plan)) ?? api.codeOf(plan) };
  if (arrival.paid) return paidAtBank(shown, plan, arrival.paid);
  if (arrival.setup) return setUpAtBank(shown, plan, arrival.setup);
  return (VIEWS[name] ?? planPage)(shown, plan, what);
}

const readPlan = (id) =>
  api.getPlan(id).catch((error) => {
    if (error instanceof Problem && error.status === 404) return undefined;
    throw error;
  });

function showNotFound(main) {
  show(main, words.not_found, h("p", {}, words.not_found_why), h("p", {}, h("a", { href: "#/payments" }, words.all)));
}
