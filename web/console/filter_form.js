// The form above the payments list. Every change goes into the address.
import { decimal, minorUnits, sentenceCase } from "../shared/format.js";
import { get, useResponse } from "./api.js";
import { activeFilters, hasFilters } from "./filters.js";
import { html, useLayoutEffect, useRef } from "./preact.js";
import { changeQuery, routeTo } from "./route.js";
import { paymentStatuses, refundStates } from "./status.js";

const YES_NO = [
  ["true", "yes"],
  ["false", "no"],
];
const CURRENCY = "usd";

export function FilterForm({ query, staff }) {
  const catalog = useResponse(() => get("/payments/tracks"), []);
  const set = (changes) => changeQuery({ ...changes, cursor: "" });
  const { tracks: sold = [], no_longer_sold: former = [] } = catalog.response ?? {};
  const tracks = [...sold, ...former].map(({ track }) => [track, track]);
  return html`<form class="filters" role="search" aria-label="Payments" onSubmit=${(event) => event.preventDefault()}>
    <div class="line">
      <${SearchField} query=${query} set=${set} />
      ${hasFilters(query) && html`<a class="button quiet" href=${routeTo(["payments"])}>Clear all filters</a>`}
      ${staff.decides && html`<a class="button quiet" href=${routeTo(["exports"], { ...activeFilters(query), new: "1" })}>Export all as CSV</a>`}
    </div>
    <div class="line">
      <${SelectField} name="status" query=${query} set=${set} options=${paymentStatuses} />
      <${SelectField} name="track" query=${query} set=${set} options=${tracks} />
      <${SelectField} name="refunded" query=${query} set=${set} options=${YES_NO} />
      <${SelectField} name="attention" query=${query} set=${set} options=${YES_NO} />
      <${SelectField} name="disputed" query=${query} set=${set} options=${YES_NO} />
      <${SelectField} name="refund_request" query=${query} set=${set} options=${refundStates} />
      <${DateField} name="from" query=${query} set=${set} />
      <${DateField} name="to" query=${query} set=${set} />
      <${AmountField} name="amount_min" label="Min amount" query=${query} set=${set} />
      <${AmountField} name="amount_max" label="Max amount" query=${query} set=${set} />
    </div>
  </form>`;
}

/** The props of a text field that applies its value on Enter or when it loses the focus. */
function useTextField(value, apply) {
  const field = useRef(null);
  useLayoutEffect(() => {
    if (field.current && document.activeElement !== field.current) field.current.value = value;
  }, [value]);
  const commit = () => {
    const text = field.current.value.trim();
    if (text !== value) apply(text);
  };
  const onKeyDown = (event) => event.key === "Enter" && (event.preventDefault(), commit());
  return { ref: field, onBlur: commit, onKeyDown };
}

function SearchField({ query, set }) {
  const props = useTextField(query.q ?? "", (q) => set({ q }));
  useLayoutEffect(() => {
    const field = document.getElementById("q");
    field.value = query.q ?? "";
    if (query.find) {
      field.focus();
      history.replaceState(null, "", routeTo(["payments"], activeFilters(query)));
    }
  }, []);
  return html`<span class="field wide"><label for="q">Find <kbd>/</kbd></label>
    <input id="q" type="search" autocomplete="off" spellcheck="false" placeholder="Search by email, user ID or Stripe ID" ...${props} /></span>`;
}

function SelectField({ name, query, set, options }) {
  const apply = (event) => set({ [name]: event.target.value });
  return html`<span class=${`field ${query[name] ? "on" : ""}`}><label for=${`f-${name}`}>${sentenceCase(name)}</label>
    <select id=${`f-${name}`} value=${query[name] ?? ""} onChange=${apply}>
      <option value="">any</option>
      ${options.map(([value, text]) => html`<option key=${value} value=${value} title=${value} selected=${query[name] === value}>${text}</option>`)}
    </select></span>`;
}

function DateField({ name, query, set }) {
  const apply = (event) => set({ [name]: event.target.value });
  return html`<span class=${`field ${query[name] ? "on" : ""}`}><label for=${`f-${name}`}>${sentenceCase(name)}</label>
    <input id=${`f-${name}`} type="date" min="2020-01-01" max="2199-12-31" value=${query[name] ?? ""} onChange=${apply} /></span>`;
}

function AmountField({ name, label, query, set }) {
  const value = query[name] ?? "";
  const text = /^\d+$/.test(value) ? decimal(Number(value), CURRENCY) : value;
  const props = useTextField(text, (typed) => {
    const amount = minorUnits(typed, CURRENCY);
    props.ref.current.setAttribute("aria-invalid", typed && amount === undefined ? "true" : "false");
    if (!typed || amount !== undefined) set({ [name]: typed ? amount : "" });
  });
  return html`<span class=${`field ${query[name] ? "on" : ""}`}><label for=${`f-${name}`}>${label}</label>
    <input id=${`f-${name}`} class="short" inputmode="decimal" autocomplete="off" ...${props} /></span>`;
}
