// A payment's fields, read-only, in groups.
import { method, sum, words } from "./format.js";
import { html } from "./html.js";
import { Id, Outside, Status, Time, UserLink } from "./parts.js";

const TITLES = {
  payment: "Payment",
  student: "Student",
  money: "Money",
  refund: "Refund",
  method: "Method",
  stripe: "At Stripe",
  times: "Times",
  record: "Record",
};
const MONEY = new Set(["amount", "list_amount", "refund_amount", "lost", "left"]);
const IDS = new Set(["payment_id", "payment_intent", "checkout_session", "charge", "customer", "audit_head"]);
const PAGES = { payment_intent: "payment_url", customer: "customer_url" };
const HIDDEN = new Set(["received_currency", "currency", "payment_url", "customer_url"]);

export function Fields({ groups }) {
  return html`<div class="groups">${Object.entries(groups).map(
    ([name, group]) => html`<section key=${name} class="panel">
    <h2>${TITLES[name] ?? words(name)}</h2>
    <dl>${Object.entries(group)
      .filter(([field]) => !HIDDEN.has(field))
      .map(
        ([field, value]) => html`<div key=${field}>
      <dt>${words(field)}</dt><dd><${Value} field=${field} value=${value} group=${group} /></dd></div>`,
      )}</dl>
  </section>`,
  )}</div>`;
}

function Value({ field, value, group }) {
  if (value === null || value === undefined || value === "") return html`<span class="none">–</span>`;
  if (MONEY.has(field)) return html`<span class="sum">${sum(value, group.currency)}</span>`;
  if (field === "received")
    return html`<span class="sum">${sum(value, group.received_currency ?? group.currency)}</span>`;
  if (field.endsWith("_at")) return html`<${Time} at=${value} seconds=${true} />`;
  if (field === "status") return html`<${Status} status=${value} />`;
  if (field === "user_id") return html`<${UserLink} id=${value} />`;
  if (field.endsWith("_url")) return html`<${Outside} href=${value}>Open<//>`;
  if (PAGES[field] && group[PAGES[field]])
    return html`<${Id} id=${value} /> <${Outside} href=${group[PAGES[field]]}>Stripe<//>`;
  if (IDS.has(field)) return html`<${Id} id=${value} />`;
  if (field === "brand") return method({ brand: value });
  if (typeof value === "boolean") return value ? "yes" : "no";
  return String(value);
}
