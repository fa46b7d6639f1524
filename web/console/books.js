// Books: the differences that the daily audit found between our payments and Stripe's balance transactions.
import { money } from "../shared/format.js";
import { get, useResponse } from "./api.js";
import { Empty, Id, Time, WhenLoaded } from "./components.js";
import { html } from "./preact.js";

const KINDS = {
  charge: "Payments",
  refund: "Refunds",
  dispute: "Disputes",
  standing: "Access without a payment",
  chain: "Audit trail",
  unconfirmed: "Not confirmed by Stripe",
};

export function Books() {
  const state = useResponse(() => get("/admin/books"), []);
  return html`<h1 tabindex="-1">Books</h1>
    <p class="small">Every night, our payments are compared with Stripe’s balance, day by day.</p>
    <${WhenLoaded} of=${state}>${(books) => html`<${Report} ...${books} />`}<//>`;
}

function Report({ compared_at: at, through, equal, differences, unfinished }) {
  if (!at) return html`<${Empty} title="Not compared yet"><p>The first comparison runs tonight.</p><//>`;
  return html`<p>Compared <${Time} at=${at} />${through && html`, through ${through} (UTC)`}</p>
    ${unfinished.length > 0 && html`<p class="note" role="status">The comparison is not finished yet. It continues by itself.</p>`}
    ${equal && html`<p class="note good" role="status">Our books and Stripe’s are equal.</p>`}
    ${
      differences.length > 0 &&
      html`<div class="scroll"><table class="rows">
      <caption class="visually-hidden">Differences</caption>
      <thead><tr><th scope="col">Day (UTC)</th><th scope="col">Difference</th><th scope="col" class="right">Ours</th><th scope="col" class="right">Stripe’s</th><th scope="col">IDs</th></tr></thead>
      <tbody>${differences.map((one) => html`<${Row} key=${`${one.day} ${one.kind} ${one.currency} ${one.ids}`} ...${one} />`)}</tbody>
    </table></div>`
    }`;
}

function Row({ kind, day, currency, ours, stripe, ids }) {
  const amount = (value) => (currency ? money(value, currency) : "");
  return html`<tr>
    <td>${day}</td><td>${KINDS[kind] ?? kind}</td>
    <td class="right">${amount(ours)}</td><td class="right">${amount(stripe)}</td>
    <td>${ids.map((id) => html`<${Id} key=${id} id=${id} /> `)}</td>
  </tr>`;
}
