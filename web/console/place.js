// Where in the console somebody is: all of it is in the address, so that it can be linked, and gone back from.
import { useEffect, useState } from "./html.js";

/** `#/payments/pay_1?do=refund` -> `{ path: ["payments", "pay_1"], query: { do: "refund" } }`. */
export function place() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return { path: path.split("/").map(decoded), query: Object.fromEntries(new URLSearchParams(query)) };
}

/** What somebody has mangled stays as it is: it names nothing. */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/** The address of a place: `to(["payments"], { status: "FAILED" })`. What is empty is left out. */
export function to(path, query = {}) {
  const asked = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== "");
  const written = asked.length ? `?${new URLSearchParams(asked)}` : "";
  return `#/${path.map(encodeURIComponent).join("/")}${written}`;
}

export function go(path, query) {
  location.hash = to(path, query);
}

/** The same view with these of its query changed. */
export function change(changes) {
  const { path, query } = place();
  go(path, { ...query, ...changes });
}

/** Open a dialog of this view: a place of its own, so that Back closes it and a sign-in leads back to it. */
export function open(name, more = {}) {
  const { path, query } = place();
  history.pushState({ dialog: true }, "", to(path, { ...query, ...more, do: name }));
  window.dispatchEvent(new Event("hashchange"));
}

export function close() {
  if (history.state?.dialog) {
    history.back();
    return;
  }
  const { path, query } = place();
  history.replaceState(null, "", to(path, { ...query, do: undefined, on: undefined }));
  window.dispatchEvent(new Event("hashchange"));
}

/** The place, told again when it changes. */
export function usePlace() {
  const [now, set] = useState(place);
  useEffect(() => {
    const moved = () => set(place());
    window.addEventListener("hashchange", moved);
    window.addEventListener("popstate", moved);
    return () => {
      window.removeEventListener("hashchange", moved);
      window.removeEventListener("popstate", moved);
    };
  }, []);
  return now;
}

let list = to(["payments"]);

/** The list that somebody is at, with its filters and page: what they open leads back to it. */
export const remember = () => {
  list = location.hash || list;
};
export const lastList = () => list;
