// The route: which view of the console is shown, with its filters and its dialog. All of it is in the address, so that
// staff can link to it and go back.
import { useLayoutEffect, useState } from "./preact.js";

const LANDING_VIEW = "overview";

/** `#/payments/pay_1?do=refund` -> `{ path: ["payments", "pay_1"], query: { do: "refund" } }`. `#/` is the overview. */
export function currentRoute() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return { path: (path || LANDING_VIEW).split("/").map(decode), query: Object.fromEntries(new URLSearchParams(query)) };
}

/** A malformed part of an address stays as it is; no view has that name. */
function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The address of a route: `routeTo(["payments"], { status: "FAILED" })`. Empty parameters are left out. */
export function routeTo(path, query = {}) {
  const present = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const search = present.length ? `?${new URLSearchParams(present)}` : "";
  return `#/${path.map(encodeURIComponent).join("/")}${search}`;
}

export function navigate(path, query) {
  location.hash = routeTo(path, query);
}

/** Stay in the view and change some of its parameters. */
export function changeQuery(changes) {
  const { path, query } = currentRoute();
  navigate(path, { ...query, ...changes });
}

/** Open a dialog of the view. It has an address of its own: Back closes it, and a sign-in leads back to it. */
export function openDialog(name, params = {}) {
  const { path, query } = currentRoute();
  history.pushState({ dialog: true }, "", routeTo(path, { ...query, ...params, do: name }));
  window.dispatchEvent(new Event("hashchange"));
}

export function closeDialog() {
  if (history.state?.dialog) {
    history.back();
    return;
  }
  const { path, query } = currentRoute();
  history.replaceState(null, "", routeTo(path, { ...query, do: undefined, on: undefined }));
  window.dispatchEvent(new Event("hashchange"));
}

/** The current route; the component renders again when it changes. */
export function useRoute() {
  const [route, set] = useState(currentRoute);
  useLayoutEffect(() => {
    const update = () => set(currentRoute());
    window.addEventListener("hashchange", update);
    window.addEventListener("popstate", update);
    return () => {
      window.removeEventListener("hashchange", update);
      window.removeEventListener("popstate", update);
    };
  }, []);
  return route;
}

let list = routeTo(["payments"]);
let payment;

/** Remember the current list with its filters and its page: the views opened from it lead back to it. */
export const rememberList = () => {
  list = location.hash || list;
  payment = undefined;
};
export const lastList = () => list;

/** Remember the current payment: its student's page leads back to it. */
export const rememberPayment = () => {
  const { path, query } = currentRoute();
  payment = routeTo(path, { ...query, do: undefined, on: undefined });
};

/** The payment from which a student's page was opened; undefined if it was opened from a list. */
export const lastPayment = () => payment;
