// Payment plans: `#/plans/pln_1` is the page of a plan, with views to pay, to choose a payment method, and the statement.
import { Problem } from "../shared/api.js";
import { announce, h, show } from "../shared/dom.js";
import * as api from "./api.js";
import { setUpInStripe } from "./pay.js";
import { planPage } from "./plan_page.js";
import { chooseMethodView, payPlanView } from "./plan_pay.js";
import { statementView } from "./plan_statement.js";
import { loadStripe } from "./stripe.js";
import { texts } from "./text.js";

const words = texts.plans;
const VIEWS = { pay: payPlanView, method: chooseMethodView, statement: statementView };

/**
 * The views `#/plans/pln_1`, `…/pay/due`, `…/method` and `…/statement`. The last value tells how the student came back from
 * their bank: `{setup}` is the client secret of the SetupIntent that was confirmed there.
 */
export async function plansView(context, id, ...rest) {
  const arrival = rest.at(-1);
  const [name, what] = rest.slice(0, -1);
  if (!id) return location.replace("#/payments");
  const [plan, catalog, titles] = await Promise.all([readPlan(id), api.getCatalog(), api.getTitles()]);
  if (!plan) return showNotFound(context.main);
  const shown = { ...context, catalog, title: titles.get(api.codeOf(plan)) ?? api.codeOf(plan) };
  if (name) return (VIEWS[name] ?? planPage)(shown, plan, what);
  if (!arrival?.setup) return planPage(shown, plan);
  const method = await setUpInStripe(await loadStripe(context.config), arrival.setup);
  if (!method) return location.replace(`#/plans/${id}/method`);
  await planPage(shown, await api.choosePlanMethod(id, method));
  return announce(words.method_chosen);
}

const readPlan = (id) =>
  api.getPlan(id).catch((error) => {
    if (error instanceof Problem && error.status === 404) return undefined;
    throw error;
  });

function showNotFound(main) {
  show(main, words.not_found, h("p", {}, words.not_found_why), h("p", {}, h("a", { href: "#/payments" }, words.all)));
}
