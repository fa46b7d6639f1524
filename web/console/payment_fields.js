// The fields of a payment, read-only, in groups.
import { moneyWithCode, sentenceCase, shortMethodName } from "../shared/format.js";
import { EnrollmentStatus, Id, None, Status, StripeLink, Time, UserLink } from "./components.js";
import { NOT_RECORDED } from "./moment.js";
import { html } from "./preact.js";

/** Names of fields whose code does not read well. */
const LABELS = {
  payment_id: "Payment ID",
  user_id: "User ID",
  lost: "Lost to disputes",
  last4: "Last 4 digits",
  receipt_url: "Receipt",
  check_at: "Next check at",
  verify_by: "Confirm bank account by",
  synced_at: "Synced by a status request at",
};
const MONEY = new Set(["amount", "received", "refund_amount", "lost", "refundable_amount"]);
const IDS = new Set(["payment_id", "payment_intent", "checkout_session", "charge", "customer", "audit_head"]);
const STRIPE_PAGES = { payment_intent: "payment_url", customer: "customer_url" };
const HIDDEN = new Set(["received_currency", "currency", "payment_url", "customer_url"]);

/** The names of fields in the groups whose name elsewhere differs. */
const NAMES = { customer: "stripe_customer_id" };

export function PaymentFields({ groups, moment }) {
  const isRecorded = (field) => !moment?.not_recorded.includes(NAMES[field] ?? field);
  return html`<div class="groups">${Object.entries(groups).map(
    ([name, group]) => html`<section key=${name} class="panel">
    <h2>${sentenceCase(name)}</h2>
    <dl>${Object.entries(group)
      .filter(([field]) => !HIDDEN.has(field))
      .map(
        ([field, value]) => html`<div key=${field}>
      <dt>${LABELS[field] ?? sentenceCase(field)}</dt><dd>${isRecorded(field) ? html`<${Value} field=${field} value=${value} group=${group} />` : NOT_RECORDED}</dd></div>`,
      )}</dl>
  </section>`,
  )}</div>`;
}

function Value({ field, value, group }) {
  if (value === null || value === undefined || value === "") return html`<${None} />`;
  if (MONEY.has(field)) return html`<span class="sum">${moneyWithCode(value, group.currency)}</span>`;
  if (field === "price") return html`<span class="sum">${moneyWithCode(value.amount, value.currency)}</span>`;
  if (field === "list_amount") return html`<span class="sum">${moneyWithCode(value, group.price.currency)}</span>`;
  if (/_(at|until|by)$/.test(field)) return html`<${Time} at=${value} seconds=${true} />`;
  if (field === "status") return html`<${Status} payment=${{ status: value }} />`;
  if (field === "enrollment") return html`<${EnrollmentStatus} status=${value} />`;
  if (field === "user_id") return html`<${UserLink} id=${value} />`;
  if (field.endsWith("_url")) return html`<${StripeLink} href=${value}>Open<//>`;
  if (STRIPE_PAGES[field] && group[STRIPE_PAGES[field]])
    return html`<${Id} id=${value} /> <${StripeLink} href=${group[STRIPE_PAGES[field]]}>Stripe<//>`;
  if (IDS.has(field)) return html`<${Id} id=${value} />`;
  if (field === "brand" && value !== NOT_RECORDED) return shortMethodName({ brand: value });
  if (typeof value === "boolean") return value ? "yes" : "no";
  return String(value);
}
