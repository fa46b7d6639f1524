// The form above the payments list. Every change goes into the address.
import { decimal, minorUnits, sentenceCase } from "../shared/format.js";
import { get, useResponse } from "./api.js";
import { productOf } from "./components.js";
import { AMOUNT_ERROR, activeFilters, hasFilters } from "./filters.js";
import { html, useLayoutEffect, useRef, useState } from "./preact.js";
import { changeQuery, routeTo } from "./route.js";
import { failureCodes, methods, refundStates } from "./status.js";

const YES_NO = [
  ["true", "yes"],
  ["false", "no"],
];
const REFUNDED = [
  ["true", "all"],
  ["partly", "a part"],
  ["any", "all or a part"],
  ["none", "nothing"],
];
const NARROW = "(max-width: 60rem)";
const ALWAYS_SHOWN = ["q", "status"];

export function FilterForm({ query, errors, staff }) {
  const catalog = useResponse(() => get("/payments/tracks"), []);
  const set = (changes) => changeQuery({ ...changes, cursor: "" });
  const currency = query.currency ?? catalog.response?.tracks[0]?.currency;
  const { tracks: sold = [], memberships = [], no_longer_sold: former = [] } = catalog.response ?? {};
  const tracks = [...sold, ...memberships, ...former].map((product) => [productOf(product), productOf(product)]);
  return html`<form class="filters" role="search" aria-label="Payments" onSubmit=${(event) => event.preventDefault()}>
    <div class="line">
      <${SearchField} query=${query} set=${set} />
      ${hasFilters(query) && html`<a class="button quiet" href=${routeTo(["payments"])}>Clear all filters</a>`}
      ${staff.decides && html`<a class="button quiet" href=${routeTo(["exports"], { ...activeFilters(query), new: "1" })}>Export all as CSV</a>`}
    </div>
    <${Folded} query=${query}>
      <${SelectField} name="track" query=${query} set=${set} options=${tracks} />
      <${SelectField} name="refunded" query=${query} set=${set} options=${REFUNDED} />
      <${SelectField} name="attention" query=${query} set=${set} options=${YES_NO} />
      <${SelectField} name="disputed" query=${query} set=${set} options=${YES_NO} />
      <${SelectField} name="refund_request" query=${query} set=${set} options=${refundStates} />
      <${SelectField} name="method" query=${query} set=${set} options=${methods} />
      <${SelectField} name="failure" query=${query} set=${set} options=${failureCodes} />
      <${DateField} name="from" query=${query} error=${errors.from} set=${set} />
      <${DateField} name="to" query=${query} error=${errors.to} set=${set} />
      <${AmountField} name="amount_min" label="Min amount" currency=${currency} query=${query} error=${errors.amount_min} set=${set} />
      <${AmountField} name="amount_max" label="Max amount" currency=${currency} query=${query} error=${errors.amount_max} set=${set} />
    <//>
  </form>`;
}

/** The fields of filters. A narrow window shows them on request, so that the list is not below them. */
function Folded({ query, children }) {
  const active = Object.keys(activeFilters(query)).filter((name) => !ALWAYS_SHOWN.includes(name)).length;
  const [isOpen] = useState(() => active > 0 || !matchMedia(NARROW).matches);
  return html`<details class="more" open=${isOpen}>
    <summary>Filters${active > 0 && ` (${active})`}</summary>
    <div class="line">${children}</div>
  </details>`;
}

/**
 * The props of a text field that applies its value on Enter or when it loses the focus. Escape restores it. A value
 * that the field did not apply, such as that of an earlier address, replaces what is typed.
 */
function useTextField(value, apply, reset = () => {}) {
  const field = useRef(null);
  const applied = useRef(value);
  useLayoutEffect(() => {
    const isOwn = applied.current === value && document.activeElement === field.current;
    if (!isOwn) field.current.value = value;
    applied.current = value;
  }, [value]);
  const commit = () => {
    const text = field.current.value.trim();
    if (text === value) return reset();
    applied.current = text;
    return apply(text);
  };
  const onKeyDown = (event) => {
    if (event.key === "Escape") field.current.value = value;
    if (event.key === "Enter") event.preventDefault();
    if (event.key === "Enter") commit();
  };
  return { ref: field, onBlur: commit, onKeyDown };
}

/** A field with its label and, under it, what is wrong with its value. */
function Field({ name, label, isOn, error, children }) {
  return html`<span class=${`field ${isOn ? "on" : ""}`}><label for=${`f-${name}`}>${label}</label>
    ${children}
    ${error && html`<span class="error" id=${`f-${name}-error`} role="alert">${error}</span>`}</span>`;
}

const invalid = (name, error) => error && { "aria-invalid": "true", "aria-describedby": `f-${name}-error` };

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
    <input id="q" type="search" autocomplete="off" spellcheck="false" placeholder="Email, last 4 digits, amount or ID" ...${props} /></span>`;
}

function SelectField({ name, query, set, options }) {
  const value = query[name] ?? "";
  const apply = (event) => set({ [name]: event.target.value });
  const isListed = !value || options.some(([one]) => one === value);
  const all = isListed ? options : [...options, [value, sentenceCase(value)]];
  return html`<${Field} name=${name} label=${sentenceCase(name)} isOn=${value}>
    <select id=${`f-${name}`} value=${value} onChange=${apply}>
      <option value="">any</option>
      ${all.map(([key, text]) => html`<option key=${key} value=${key} title=${key} selected=${value === key}>${text}</option>`)}
    </select><//>`;
}

function DateField({ name, query, error, set }) {
  const apply = (event) => set({ [name]: event.target.value });
  return html`<${Field} name=${name} label=${`${sentenceCase(name)} (UTC)`} isOn=${query[name]} error=${error}>
    <input id=${`f-${name}`} type="date" min="2020-01-01" max="2199-12-31" value=${query[name] ?? ""} onChange=${apply} ...${invalid(name, error)} /><//>`;
}

/**
 * An amount in major units of a currency, the catalog's unless the address has another one. It finds payments of that
 * currency only. A text that is no amount stays in the field, with an error, and filters nothing.
 */
function AmountField({ name, label, currency, query, error, set }) {
  const value = query[name] ?? "";
  const [typedError, setTypedError] = useState("");
  const text = currency && /^\d+$/.test(value) ? decimal(Number(value), currency) : value;
  const props = useTextField(text, (typed) => {
    const amount = minorUnits(typed, currency);
    setTypedError(typed && amount === undefined ? AMOUNT_ERROR : "");
    if (!typed || amount !== undefined) set(amountFilters(query, { [name]: typed ? amount : "" }, currency));
  }, () => setTypedError(""));
  useLayoutEffect(() => setTypedError(""), [value]);
  const problem = typedError || error;
  const labelText = currency ? `${label} (${currency.toUpperCase()})` : label;
  return html`<${Field} name=${name} label=${labelText} isOn=${value} error=${problem}>
    <input id=${`f-${name}`} class="short" inputmode="decimal" autocomplete="off" disabled=${!currency} ...${props} ...${invalid(name, problem)} /><//>`;
}

/** The filters by amount after a change, with their currency as long as one of them is set. */
function amountFilters(query, changes, currency) {
  const { amount_min: min = "", amount_max: max = "" } = { ...query, ...changes };
  return { ...changes, currency: min === "" && max === "" ? "" : currency };
}
