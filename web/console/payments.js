// The payments list, with filters and a calendar to narrow it down.
import { get, useResponse } from "./api.js";
import { Calendar } from "./calendar.js";
import { Empty, WhenLoaded, Pager } from "./components.js";
import { FilterForm } from "./filter_form.js";
import { activeFilters, hasFilters } from "./filters.js";
import { PaymentTable } from "./payment_table.js";
import { html } from "./preact.js";
import { routeTo } from "./route.js";

const PAGE_SIZE = 50;
const MAX_PAGES_READ = 5;

/** A page of payments. A page without a match is followed by the next one, a limited number of times. */
async function loadPage(query) {
  const params = { ...activeFilters(query), limit: PAGE_SIZE };
  let page = await get("/admin/payments", { ...params, cursor: query.cursor });
  for (let read = 1; !page.payments.length && page.next_cursor && read < MAX_PAGES_READ; read += 1) {
    page = await get("/admin/payments", { ...params, cursor: page.next_cursor });
  }
  return page;
}

export function Payments({ query, staff }) {
  const filters = activeFilters(query);
  const state = useResponse(() => loadPage(query), [filters, query.cursor]);
  const empty = ({ payments, next_cursor: next }) => !payments.length && !next && html`<${NoPayments} query=${query} />`;
  return html`<div class="browse">
    <${Calendar} query=${query} />
    <div class="list">
      <h1 tabindex="-1">Payments</h1>
      <${FilterForm} query=${query} staff=${staff} />
      <${WhenLoaded} of=${state} empty=${empty}>
        ${({ payments, next_cursor: next }) => html`
          <${PaymentTable} payments=${payments} />
          <${Pager} path=${["payments"]} query=${{ ...filters, cursor: query.cursor }} next=${next} count=${payments.length}
            note=${next && !payments.length ? "No matches yet. Keep looking in older payments." : ""} />`}
      <//>
    </div>
  </div>`;
}

function NoPayments({ query }) {
  if (query.cursor)
    return html`<${Empty} title="No older payments"><p><a href=${routeTo(["payments"], activeFilters(query))}>Show the newest</a></p><//>`;
  if (!hasFilters(query)) return html`<${Empty} title="No payments yet" />`;
  return html`<${Empty} title="No payments match these filters"><p><a href=${routeTo(["payments"])}>Clear the filters</a></p><//>`;
}
