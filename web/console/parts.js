// The small pieces that every view is made of.
import { html, useState } from "./html.js";
import { explain } from "./api.js";
import { moment, sum, utc } from "./format.js";
import { to } from "./place.js";

/** A time in the reader's zone, with UTC on hover. */
export function Time({ at, seconds = false }) {
  return at
    ? html`<time datetime=${at} title=${utc(at)}>${moment(at, seconds)}</time>`
    : html`<span class="none">–</span>`;
}

const LOOKS = { SUCCEEDED: "good", REFUNDED: "info", FAILED: "bad", CANCELED: "", PROCESSING: "busy", CREATED: "busy" };

export const Status = ({ status }) => html`<span class=${`chip ${LOOKS[status] ?? ""}`}>${status}</span>`;

/** Why the last try failed, as Stripe says it. */
export function Failure({ failure }) {
  if (!failure) return null;
  const { code, message } = failure;
  return html`<span class="why" title=${message ?? code}>${code ? code.replace(/_/g, " ") : message}</span>`;
}

/** An amount, and below it what was given back. */
export function Amount({ payment }) {
  const { amount, currency, refund_amount: back } = payment;
  return html`<span class="sum">${sum(amount, currency)}</span>${back > 0 && html`<span class="why">−${sum(back, currency)} refunded</span>`}`;
}

/** What needs a person, as marks. */
export const Marks = ({ causes }) =>
  causes.map(
    ({ name, detail }) => html`<span key=${name} class="chip warn" title=${detail}>${name.split(":")[0]}</span>`,
  );

/** An id that can be copied whole. */
export function Id({ id }) {
  const [copied, set] = useState(false);
  if (!id) return html`<span class="none">–</span>`;
  const copy = async () => {
    await navigator.clipboard.writeText(id);
    set(true);
    setTimeout(() => set(false), 1500);
  };
  return html`<span class="id"><code>${id}</code><button type="button" class="copy" onClick=${copy} aria-label=${`Copy ${id}`}>${copied ? "copied" : "copy"}</button></span>`;
}

export const UserLink = ({ id, children }) => html`<a href=${to(["users", id])}>${children ?? id}</a>`;

/** A page at Stripe, in a tab of its own. */
export const Outside = ({ href, children }) =>
  html`<a href=${href} target="_blank" rel="noopener noreferrer">${children}<span aria-hidden="true"> ↗</span><span class="visually-hidden"> (opens Stripe in a new tab)</span></a>`;

export const Waiting = ({ what = "Loading" }) =>
  html`<p class="state" role="status"><span class="spinner" aria-hidden="true"></span>${what} …</p>`;

export const Empty = ({ title, children }) =>
  html`<div class="state empty"><p class="strong">${title}</p>${children}</div>`;

/** What went wrong, and a way to try it again. */
export function Trouble({ error, again }) {
  return html`<div class="state trouble" role="alert">
    <p>${explain(error)}</p>
    ${again && html`<button type="button" class="quiet" onClick=${again}>Try again</button>`}
  </div>`;
}

/** One of four: waiting, in trouble, empty, or what is there, which stays when it is asked for again. */
export function Answer({ of, empty, children }) {
  const trouble = of.error && html`<${Trouble} error=${of.error} again=${of.again} />`;
  if (of.answer === undefined) return trouble || html`<${Waiting} />`;
  const nothing = empty?.(of.answer);
  return html`${trouble}<div class="answer" aria-busy=${of.waiting ? "true" : "false"}>${nothing || children(of.answer)}</div>`;
}

/** A button that cannot be pressed twice while it works. */
export function Button({ busy, children, ...props }) {
  const press = (event) => (busy ? event.preventDefault() : props.onClick?.(event));
  return html`<button type="button" ...${props} onClick=${press} aria-busy=${busy ? "true" : undefined}>${children}</button>`;
}

/** The way to the pages after and before this one. */
export function Pager({ query, path, next, count, note }) {
  return html`<nav class="pager" aria-label="Pages">
    <span>${count === undefined ? "" : `${count} shown`}${note ? ` · ${note}` : ""}</span>
    <span class="grow"></span>
    ${query.cursor && html`<a class="button quiet" href=${to(path, { ...query, cursor: "" })}>Newest</a>`}
    ${query.cursor && html`<button type="button" class="quiet" onClick=${() => history.back()}>Back</button>`}
    ${next && html`<a class="button quiet" href=${to(path, { ...query, cursor: next })}>Older</a>`}
  </nav>`;
}
