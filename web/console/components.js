// Components that several views share.
import { announce } from "../shared/dom.js";
import { differsFromPrice, moment, moneyWithCode, relativeTime, utc } from "../shared/format.js";
import { explain } from "./api.js";
import { html, useEffect, useState } from "./preact.js";
import { routeTo } from "./route.js";
import { enrollmentStatus, paymentState } from "./status.js";

const COPIED_MS = 1500;
const SOON_MS = 3 * 86_400_000;

/** Whether a time is less than three days away, or over. */
export const isSoon = (time) => new Date(time) - Date.now() < SOON_MS;

export const None = () => html`<span class="none">–</span>`;

/** A time in the reader's time zone, with UTC on hover. */
export function Time({ at, seconds = false }) {
  return at ? html`<time datetime=${at} title=${utc(at)}>${moment(at, seconds)}</time>` : html`<${None} />`;
}

/** The code of what a payment or a plan is for: a track or a membership. */
export const productOf = ({ track, membership }) => track ?? membership;

/** "installment 2", or "installments 2, 3": what a payment pays of its plan. */
export const installmentText = ({ covers }) => `${covers.length === 1 ? "installment" : "installments"} ${covers.join(", ")}`;

/** A link to the plan of a payment, if it has one: the installments that it pays, or `text`. */
export const PlanLink = ({ payment, text }) =>
  payment.plan_id && html`<a class="why" href=${routeTo(["plans", payment.plan_id])}>${text ?? installmentText(payment)}</a>`;

/** When an answer or a refund is due for an attention reason, in red within the last three days. */
export function DueBy({ reason: { due_by: dueBy } }) {
  if (!dueBy) return null;
  return html`<span class=${`advice ${isSoon(dueBy) ? "soon" : ""}`}>due <${Time} at=${dueBy} />, ${relativeTime(dueBy)}</span>`;
}

/** A payment's state, with the API's name of its status on hover. */
export function Status({ payment }) {
  const [name, color] = paymentState(payment);
  return html`<span class=${`chip ${color}`} title=${payment.status}>${name}</span>`;
}

/** An enrollment's status, with the API's name on hover. */
export function EnrollmentStatus({ status }) {
  if (!status) return html`<${None} />`;
  const [name, color] = enrollmentStatus(status);
  return html`<span class=${`chip ${color}`} title=${status}>${name}</span>`;
}

/** Why the last attempt failed, in Stripe's words. */
export function Failure({ failure }) {
  if (!failure) return null;
  const { code, message } = failure;
  return html`<span class="why" title=${message ?? code}>${code ? code.replace(/_/g, " ") : message}</span>`;
}

/** The price of a payment of which another amount was received. */
export const priceText = (payment) =>
  differsFromPrice(payment) && `price ${moneyWithCode(payment.price.amount, payment.price.currency)}`;

/** The amount received (the price until then), the price if it differs, and how much was refunded. */
export function Amount({ payment }) {
  const { amount, currency, refund_amount: refunded } = payment;
  const price = priceText(payment);
  return html`<span class="sum">${moneyWithCode(amount, currency)}</span>${price && html`<span class="why">${price}</span>`}${refunded > 0 && html`<span class="why">−${moneyWithCode(refunded, currency)} refunded</span>`}`;
}

/** The kinds of a payment's attention reasons. */
export const AttentionChips = ({ reasons }) =>
  reasons.map(
    ({ name, detail }) => html`<span key=${name} class="chip warn" title=${detail}>${name.split(":")[0].replace("_", " ")}</span>`,
  );

/** An id with a button to copy it. */
export function Id({ id }) {
  const [copied, set] = useState(false);
  if (!id) return html`<${None} />`;
  const copy = async () => {
    await navigator.clipboard.writeText(id);
    set(true);
    setTimeout(() => set(false), COPIED_MS);
  };
  return html`<span class="id"><code>${id}</code><button type="button" class="copy" onClick=${copy} aria-label=${`Copy ${id}`}>${copied ? "copied" : "copy"}</button></span>`;
}

/** A link to a user. A long address is cut in a table, and whole on hover. */
export const UserLink = ({ id, children }) =>
  html`<a class="user" href=${routeTo(["users", id])} title=${children ?? id}>${children ?? id}</a>`;

/** A page of Stripe's, in a new tab. */
export const StripeLink = ({ href, children }) =>
  html`<a href=${href} target="_blank" rel="noopener noreferrer">${children}<span aria-hidden="true"> ↗</span><span class="visually-hidden"> (opens Stripe in a new tab)</span></a>`;

export const Loading = ({ text = "Loading" }) =>
  html`<p class="state" role="status"><span class="spinner" aria-hidden="true"></span>${text}…</p>`;

export const Empty = ({ title, children }) =>
  html`<div class="state empty"><p class="strong">${title}</p>${children}</div>`;

/** An error, with a button to try again. */
export function ErrorMessage({ error, retry }) {
  return html`<div class="state trouble" role="alert">
    <p>${explain(error)}</p>
    ${retry && html`<button type="button" class="quiet" onClick=${retry}>Try again</button>`}
  </div>`;
}

/**
 * The state of a `useResponse`: loading, an error, empty, or `children(response)`. While it reloads, the previous
 * response stays.
 */
export function WhenLoaded({ of, empty, children }) {
  const error = of.error && html`<${ErrorMessage} error=${of.error} retry=${of.reload} />`;
  if (of.response === undefined) return error || html`<${Loading} />`;
  return html`${error}<div class="answer" aria-busy=${of.loading ? "true" : "false"}>${empty?.(of.response) || children(of.response)}</div>`;
}

/** A button that ignores clicks while it is busy. */
export function Button({ busy, children, ...props }) {
  const press = (event) => (busy ? event.preventDefault() : props.onClick?.(event));
  return html`<button type="button" ...${props} onClick=${press} aria-busy=${busy ? "true" : undefined}>${children}</button>`;
}

const ENTRIES_PER_PAGE = 50;

/** `[entries of the pages that are open, a button for the next page]` of a list that is already loaded. */
export function usePages(entries) {
  const [pages, setPages] = useState(1);
  const shown = pages * ENTRIES_PER_PAGE;
  const rest = entries.length - shown;
  const more =
    rest > 0 &&
    html`<p class="pager"><span>${shown} of ${entries.length} shown</span><span class="grow"></span>
      <button type="button" class="quiet" onClick=${() => setPages(pages + 1)}>Show ${Math.min(rest, ENTRIES_PER_PAGE)} more</button></p>`;
  return [entries.slice(0, shown), more];
}

/** Whether the browser has a connection. */
export function useOnline() {
  const [isOnline, set] = useState(navigator.onLine);
  useEffect(() => {
    const update = () => set(navigator.onLine);
    window.addEventListener("online", update);
    window.addEventListener("offline", update);
    return () => {
      window.removeEventListener("online", update);
      window.removeEventListener("offline", update);
    };
  }, []);
  return isOnline;
}

/**
 * Links to the next, the previous and the first page of a list, by default newest first. It announces to screen readers
 * how many entries are shown.
 */
export function Pager({ query, path, next, count, note, names: [first, following] = ["Newest", "Older"] }) {
  useEffect(() => {
    if (count !== undefined) announce(`${count} shown${next ? ", more on the next page" : ""}`);
  }, [count, next]);
  return html`<nav class="pager" aria-label="Pages">
    <span>${count === undefined ? "" : `${count} shown`}${note ? ` · ${note}` : ""}</span>
    <span class="grow"></span>
    ${query.cursor && html`<a class="button quiet" href=${routeTo(path, { ...query, cursor: "" })}>${first}</a>`}
    ${query.cursor && html`<button type="button" class="quiet" onClick=${() => history.back()}>Back</button>`}
    ${next && html`<a class="button quiet" href=${routeTo(path, { ...query, cursor: next })}>${following}</a>`}
  </nav>`;
}
