// The views of staff, by their address. The modules of a view are loaded when it is first opened.
import { imported } from "../shared/api.js";
import { Empty, ErrorMessage, Loading } from "./components.js";
import { useFocusOfView } from "./focus.js";
import { html, useEffect, useState } from "./preact.js";
import { rememberList, rememberPayment, routeTo } from "./route.js";
import { SwitchBanners } from "./switches.js";

const LOAD_ALL_MS = 2000; // the first view has the connection to itself until then
const laterModules = [];

function later(load) {
  laterModules.push(load);
  return {
    async load() {
      this.component = await imported(load());
    },
  };
}

/** Load the modules of all views, so that opening one does not wait for the network. */
export function loadAll() {
  for (const load of laterModules) load().catch(() => {}); // a view that is opened then shows the error
}

const EXPORTS = later(async () => (await import("./exports.js")).Exports);
const LIST_VIEWS = {
  overview: later(async () => (await import("./overview.js")).Overview),
  payments: later(async () => (await import("./payments.js")).Payments),
  attention: later(async () => (await import("./attention.js")).Attention),
  "refund-requests": later(async () => (await import("./refund_requests.js")).RefundRequests),
  disputes: later(async () => (await import("./disputes.js")).Disputes),
  plans: later(async () => (await import("./plans.js")).Plans),
  forecast: later(async () => (await import("./forecast.js")).Forecast),
  books: later(async () => (await import("./books.js")).Books),
  statement: later(async () => (await import("./statement.js")).Statement),
  quarantine: later(async () => (await import("./quarantine.js")).Quarantine),
  exports: EXPORTS,
  activity: later(async () => (await import("./activity.js")).Activity),
  selling: later(async () => (await import("./switches.js")).Selling),
  collecting: later(async () => (await import("./switches.js")).Collecting),
};
const DETAIL_VIEWS = {
  payments: later(async () => (await import("./payment.js")).Payment),
  plans: later(async () => (await import("./plan.js")).Plan),
  users: later(async () => (await import("./user.js")).User),
  exports: EXPORTS,
};

/** The view of a route, below the notes that a switch is off. */
export function View({ path, query, staff }) {
  const [name, id] = path;
  const views = id ? DETAIL_VIEWS : LIST_VIEWS;
  const view = Object.hasOwn(views, name) ? views[name] : undefined;
  const [error, setError] = useState();
  const [, setLoads] = useState(0);
  const load = () => {
    setError(undefined);
    return view.load().then(() => setLoads((count) => count + 1), setError);
  };
  useEffect(() => {
    if (!error) return undefined;
    addEventListener("online", load);
    return () => removeEventListener("online", load);
  }, [error]);
  useEffect(() => {
    if (view && !view.component) load().then(() => setTimeout(loadAll, LOAD_ALL_MS));
  }, [view]);
  if (view && !id) rememberList();
  if (view === DETAIL_VIEWS.payments) rememberPayment();
  return html`<${SwitchBanners} />${
    view && !view.component
      ? error
        ? html`<h1 tabindex="-1">This view did not load</h1><${ErrorMessage} error=${error} retry=${load} />`
        : html`<${Loading} />`
      : html`<${CurrentView} path=${path} component=${view?.component} query=${query} staff=${staff} />`
  }`;
}

function CurrentView({ path, component: Component, query, staff }) {
  const [name, id] = path;
  const key = `${name}/${id ?? ""}`;
  useFocusOfView(key);
  if (!Component)
    return html`<h1 tabindex="-1">Page not found</h1><${Empty} title=""><a href=${routeTo(["overview"])}>Go to Overview</a><//>`;
  return html`<${Component} key=${key} id=${id} query=${query} staff=${staff} />`;
}
