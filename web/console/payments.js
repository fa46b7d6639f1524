// Every payment, by filters that are in the address, with months and days to go down by.
import { read, useAnswer } from "./api.js";
import { method, minor, plainly, words } from "./format.js";
import { html, useEffect, useRef } from "./html.js";
import { Months } from "./months.js";
import { Amount, Answer, Empty, Failure, Marks, Pager, Status, Time, UserLink } from "./parts.js";
import { change, to } from "./place.js";

export const FILTERS = [
  "q",
  "status",
  "track",
  "refunded",
  "attention",
  "disputed",
  "from",
  "to",
  "amount_min",
  "amount_max",
];
const STATUSES = ["CREATED", "PROCESSING", "SUCCEEDED", "FAILED", "CANCELED", "REFUNDED"];
const YES_NO = [
  ["true", "yes"],
  ["false", "no"],
];
const SIZE = 50;
const LOOKS = 5;
const CURRENCY = "usd";
let opened;

/** What of a query is a filter. */
export const filters = (query) =>
  Object.fromEntries(FILTERS.filter((name) => query[name]).map((name) => [name, query[name]]));

/** A page; where nothing fits on it and there is more, the next ones too, a few of them. */
async function page(query) {
  const asked = { ...filters(query), limit: SIZE };
  let found = await read("/admin/payments/", { ...asked, cursor: query.cursor });
  for (let looked = 1; !found.payments.length && found.next_cursor && looked < LOOKS; looked += 1) {
    found = await read("/admin/payments/", { ...asked, cursor: found.next_cursor });
  }
  return found;
}

export function Payments({ query, staff }) {
  const asked = JSON.stringify([filters(query), query.cursor]);
  const found = useAnswer(() => page(query), [asked]);
  return html`<div class="browse">
    <${Months} query=${query} />
    <div class="list">
      <h1 tabindex="-1">Payments</h1>
      <${Filters} query=${query} staff=${staff} />
      <${Answer} of=${found} empty=${({ payments, next_cursor: more }) => !payments.length && !more && html`<${Nothing} query=${query} />`}>
        ${({ payments, next_cursor: more }) => html`
          <${Table} payments=${payments} />
          <${Pager} path=${["payments"]} query=${{ ...filters(query), cursor: query.cursor }} next=${more} count=${payments.length}
            note=${more && !payments.length ? "nothing on the pages that were read; there are older ones" : ""} />`}
      <//>
    </div>
  </div>`;
}

function Nothing({ query }) {
  const some = Object.keys(filters(query)).length > 0;
  if (query.cursor)
    return html`<${Empty} title="There are no older payments"><p><a href=${to(["payments"], filters(query))}>To the newest</a></p><//>`;
  return html`<${Empty} title=${some ? "No payment fits these filters" : "There is no payment yet"}>
    ${some && html`<p><a href=${to(["payments"])}>Clear the filters</a></p>`}
  <//>`;
}

// --- filters ---

function Filters({ query, staff }) {
  const tracks = useAnswer(() => read("/payments/tracks/"), []);
  const set = (changes) => change({ ...changes, cursor: "" });
  const names = (tracks.answer?.tracks ?? []).map(({ track }) => [track, track]);
  const some = Object.keys(filters(query)).length > 0;
  return html`<form class="filters" role="search" aria-label="Payments" onSubmit=${(event) => event.preventDefault()}>
    <div class="line">
      <${Search} query=${query} set=${set} />
      ${some && html`<a class="button quiet" href=${to(["payments"])}>Clear all filters</a>`}
      ${staff.decides && html`<a class="button quiet" href=${to(["exports"], { ...filters(query), new: "1" })}>Export all as CSV</a>`}
    </div>
    <div class="line">
      <${Choice} name="status" query=${query} set=${set} options=${STATUSES.map((status) => [status, status])} />
      <${Choice} name="track" query=${query} set=${set} options=${names} />
      <${Choice} name="refunded" query=${query} set=${set} options=${YES_NO} />
      <${Choice} name="attention" query=${query} set=${set} options=${YES_NO} />
      <${Choice} name="disputed" query=${query} set=${set} options=${YES_NO} />
      <${Day} name="from" query=${query} set=${set} />
      <${Day} name="to" query=${query} set=${set} />
      <${Money} name="amount_min" label="Least amount" query=${query} set=${set} />
      <${Money} name="amount_max" label="Most" query=${query} set=${set} />
    </div>
  </form>`;
}

/** Typed text takes effect on Enter or when the field is left. */
function useTyped(value, take) {
  const field = useRef(null);
  useEffect(() => {
    if (field.current && document.activeElement !== field.current) field.current.value = value;
  }, [value]);
  const done = () => {
    if (field.current.value.trim() !== value) take(field.current.value.trim());
  };
  const keys = (event) => event.key === "Enter" && (event.preventDefault(), done());
  return { ref: field, onBlur: done, onKeyDown: keys };
}

function Search({ query, set }) {
  const typed = useTyped(query.q ?? "", (q) => set({ q }));
  useEffect(() => {
    const field = document.getElementById("q");
    field.value = query.q ?? "";
    if (query.find) {
      field.focus();
      history.replaceState(null, "", to(["payments"], filters(query)));
    }
  }, []);
  return html`<span class="field wide"><label for="q">Find <kbd>/</kbd></label>
    <input id="q" type="search" autocomplete="off" spellcheck="false" placeholder="e-mail or its beginning, user id, pay_, pi_, cs_, ch_, cus_" ...${typed} /></span>`;
}

function Choice({ name, query, set, options }) {
  const pick = (event) => set({ [name]: event.target.value });
  return html`<span class=${`field ${query[name] ? "on" : ""}`}><label for=${`f-${name}`}>${words(name)}</label>
    <select id=${`f-${name}`} value=${query[name] ?? ""} onChange=${pick}>
      <option value="">any</option>
      ${options.map(([value, text]) => html`<option key=${value} value=${value} selected=${query[name] === value}>${text}</option>`)}
    </select></span>`;
}

function Day({ name, query, set }) {
  const pick = (event) => set({ [name]: event.target.value });
  return html`<span class=${`field ${query[name] ? "on" : ""}`}><label for=${`f-${name}`}>${words(name)}</label>
    <input id=${`f-${name}`} type="date" min="2020-01-01" max="2199-12-31" value=${query[name] ?? ""} onChange=${pick} /></span>`;
}

function Money({ name, label, query, set }) {
  const given = query[name] ?? "";
  const shown = /^\d+$/.test(given) ? plainly(Number(given), CURRENCY) : given;
  const typed = useTyped(shown, (text) => {
    const amount = minor(text, CURRENCY);
    typed.ref.current.setAttribute("aria-invalid", text && amount === undefined ? "true" : "false");
    if (!text || amount !== undefined) set({ [name]: text ? amount : "" });
  });
  return html`<span class=${`field ${query[name] ? "on" : ""}`}><label for=${`f-${name}`}>${label}</label>
    <input id=${`f-${name}`} class="short" inputmode="decimal" autocomplete="off" ...${typed} /></span>`;
}

// --- the table ---

const opening = (id) => () => {
  opened = id;
};

/** Rows of payments: each opens by its time, and says why it failed and what needs a person. */
export function Table({ payments, user = true }) {
  const body = useRef(null);
  useEffect(() => {
    const from =
      payments.some(({ payment_id: id }) => id === opened) &&
      body.current.querySelector(`tr[data-id="${opened}"] a.open`);
    if (from) from.focus({ preventScroll: false });
    opened = undefined;
  }, []);
  return html`<div class="scroll"><table class="rows">
    <thead><tr><th>Begun</th><th>Status</th><th class="right">Amount</th><th>Track</th>${user && html`<th>Student</th>`}<th>Method</th><th>Needs a person</th><th>Payment</th></tr></thead>
    <tbody ref=${body}>${payments.map((payment) => html`<${Row} key=${payment.payment_id} payment=${payment} user=${user} />`)}</tbody>
  </table></div>`;
}

function Row({ payment, user }) {
  const { payment_id: id, created_at: at, status, track, failure, attention } = payment;
  return html`<tr data-id=${id}>
    <td><a class="open" href=${to(["payments", id])} onClick=${opening(id)}><${Time} at=${at} /></a></td>
    <td><${Status} status=${status} /><${Failure} failure=${failure} /></td>
    <td class="right"><${Amount} payment=${payment} /></td>
    <td>${track}</td>
    ${user && html`<td><${UserLink} id=${payment.user_id}>${payment.email ?? payment.user_id}<//></td>`}
    <td>${method(payment.payment_method) || html`<span class="none">–</span>`}</td>
    <td>${attention.length ? html`<${Marks} causes=${attention} />` : html`<span class="none">–</span>`}</td>
    <td class="cut" title=${id}><code>${id}</code></td>
  </tr>`;
}
