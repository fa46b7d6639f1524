// The payments list, with filters and a calendar to narrow it down.
import { announce } from "../shared/dom.js";
import { explain, get, refresh, useResponse, useVisibleInterval } from "./api.js";
import { Calendar } from "./calendar.js";
import { Empty, WhenLoaded, Pager } from "./components.js";
import { FilterForm } from "./filter_form.js";
import { activeFilters, filterErrors, hasFilters } from "./filters.js";
import { orderOf, pageNames } from "./order.js";
import { PaymentTable } from "./payment_table.js";
import { html, useEffect, useState } from "./preact.js";
import { routeTo } from "./route.js";
import { StatusTabs } from "./status_tabs.js";
import { Totals } from "./totals.js";

const PAGE_SIZE = 50;
const MAX_PAGES_READ = 5;
const MAX_NEW = 20;

/** A page of payments. A page without a match is followed by the next one, a limited number of times. */
async function loadPage(query) {
  const params = { ...activeFilters(query), order: orderOf(query), limit: PAGE_SIZE };
  let page = await get("/admin/payments", { ...params, cursor: query.cursor });
  for (let read = 1; !page.payments.length && page.next_cursor && read < MAX_PAGES_READ; read += 1) {
    page = await get("/admin/payments", { ...params, cursor: page.next_cursor });
  }
  return page;
}

const NO_PAGE = { payments: [], next_cursor: null };

/** The errors in the filters, also the API's refusal of one of them. */
function errorsOf(query, error) {
  const errors = filterErrors(query);
  if (error?.status !== 422 || !Object.hasOwn(activeFilters(query), error.field)) return errors;
  return { [error.field]: explain(error), ...errors };
}

export function Payments({ query, staff }) {
  const filters = activeFilters(query);
  const isInvalid = Object.keys(filterErrors(query)).length > 0;
  const load = async () => (isInvalid ? NO_PAGE : loadPage(query));
  const order = orderOf(query);
  const state = useResponse(load, [filters, order ?? "", query.cursor]);
  const errors = errorsOf(query, state.error);
  const empty = ({ payments, next_cursor: next }) => !payments.length && !next && html`<${NoPayments} query=${query} />`;
  return html`<div class="browse">
    <${Calendar} query=${query} />
    <div class="list">
      <div class="headline"><h1 tabindex="-1">Payments</h1><span class="grow"></span><${Refresh} query=${query} payments=${state.response?.payments} /></div>
      <${FilterForm} query=${query} errors=${errors} staff=${staff} />
      <${StatusTabs} query=${query} order=${order}><${Totals} list="payments" filters=${filters} /><//>
      ${
        Object.keys(errors).length
          ? html`<${Empty} title="Correct the filter that is marked"><p><a href=${routeTo(["payments"])}>Clear the filters</a></p><//>`
          : html`<${WhenLoaded} of=${state} empty=${empty}>
        ${({ payments, next_cursor: next }) => html`
          <${PaymentTable} payments=${payments} order=${{ path: !filters.q && ["payments"], query: filters, order }} />
          <${Pager} path=${["payments"]} query=${{ ...filters, order, cursor: query.cursor }} next=${next} count=${payments.length} names=${pageNames(order)}
            note=${next && !payments.length ? "No matches yet. Keep looking in older payments." : ""} />`}
      <//>`
      }
    </div>
  </div>`;
}

/** Loads the list again. On its first page it counts the payments that are not in the list yet, once a minute. */
function Refresh({ query, payments }) {
  const [count, setCount] = useState("");
  useEffect(() => setCount(""), [payments]);
  useVisibleInterval(async () => {
    if (!payments || query.cursor || query.order || query.q) return; // each search is recorded as a read of a person's data
    const listed = new Set(payments.map(({ payment_id: id }) => id));
    const page = await get("/admin/payments", { ...activeFilters(query), limit: MAX_NEW }).catch(() => NO_PAGE);
    const first = page.payments.findIndex(({ payment_id: id }) => listed.has(id));
    const number = first < 0 ? page.payments.length : first;
    setCount(number ? `${number}${number === MAX_NEW ? "+" : ""}` : "");
    if (number) announce(`${number} new ${number === 1 ? "payment" : "payments"}`);
  });
  return html`<button type="button" class=${`refresh ${count ? "" : "quiet"}`} onClick=${refresh}>${count ? `Show ${count} new` : "Refresh"}</button>`;
}

function NoPayments({ query }) {
  if (query.cursor)
    return html`<${Empty} title="No older payments"><p><a href=${routeTo(["payments"], activeFilters(query))}>Show the newest</a></p><//>`;
  if (!hasFilters(query)) return html`<${Empty} title="No payments yet" />`;
  return html`<${Empty} title="No payments match these filters"><p><a href=${routeTo(["payments"])}>Clear the filters</a></p><//>`;
}
