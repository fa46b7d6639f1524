// The fields of a payment, read-only: the important ones, or all of them in groups.
import { moneyWithCode, sentenceCase, shortMethodName } from "../shared/format.js";
import { EnrollmentStatus, Id, None, Status, StripeLink, Time, UserLink } from "./components.js";
import { html, useState } from "./preact.js";
import { NOT_RECORDED } from "./record_words.js";
import { routeTo } from "./route.js";

const ALL = "tuition.console.all-fields";
/** The important fields, each with its group. One without a value is left out. */
const IMPORTANT = [
  ["payment", "payment_id"],
  ["payment", "plan"],
  ["student", "email"],
  ["student", "user_id"],
  ["money", "received"],
  ["money", "refund_amount"],
  ["money", "refundable_amount"],
  ["money", "promotion_code"],
  ["stripe", "payment_intent"],
  ["method", "receipt_url"],
];

/** Names of fields whose code does not read well. */
const LABELS = {
  payment_id: "Payment ID",
  user_id: "User ID",
  covers: "Installments",
  lost: "Lost to disputes",
  last4: "Last 4 digits",
  receipt_url: "Receipt",
  check_at: "Next check at",
  verify_by: "Confirm bank account by",
  synced_at: "Synced by a status request at",
};
const MONEY = new Set(["amount", "received", "refund_amount", "lost", "refundable_amount"]);
const IDS = new Set(["payment_id", "payment_intent", "checkout_session", "charge", "invoice", "customer", "audit_head"]);
const STRIPE_PAGES = { payment_intent: "payment_url", customer: "customer_url", invoice: "invoice_url" };
const HIDDEN = new Set(["received_currency", "currency", "payment_url", "customer_url", "invoice_url"]);

/** The names of fields in the groups whose name elsewhere differs. */
const NAMES = { customer: "stripe_customer_id" };

/**
 * A payment as it was shows all fields, because the list of those that are not recorded is among them. While a dispute is
 * open, the short list has no refundable amount: nothing can be refunded.
 */
export function PaymentFields({ groups, isDisputed, moment }) {
  const [all, setAll] = useState(localStorage.getItem(ALL) === "1");
  const toggle = () => {
    localStorage.setItem(ALL, all ? "" : "1");
    setAll(!all);
  };
  const isRecorded = (field) => !moment?.not_recorded.includes(NAMES[field] ?? field);
  const row = (group, field) => html`<div key=${field}>
    <dt>${LABELS[field] ?? sentenceCase(field)}</dt><dd>${isRecorded(field) ? html`<${Value} field=${field} value=${group[field]} group=${group} />` : NOT_RECORDED}</dd></div>`;
  const important = IMPORTANT.filter(([name, field]) => groups[name][field] && !(isDisputed && field === "refundable_amount"));
  const shown = all || moment;
  return html`<div class="groups">
    ${!shown && html`<section class="panel"><h2>Details</h2><dl>${important.map(([name, field]) => row(groups[name], field))}<${Method} method=${groups.method} /></dl></section>`}
    ${!moment && html`<button type="button" class="quiet" aria-expanded=${all ? "true" : "false"} onClick=${toggle}>All fields</button>`}
    ${shown && Object.entries(groups).map(([name, group]) => html`<section key=${name} class="panel"><h2>${sentenceCase(name)}</h2>
      <dl>${Object.keys(group).filter((field) => !HIDDEN.has(field)).map((field) => row(group, field))}</dl></section>`)}
  </div>`;
}

const Method = ({ method }) => method.type && html`<div><dt>Method</dt><dd>${shortMethodName(method)}</dd></div>`;

function Value({ field, value, group }) {
  if (value === null || value === undefined || value === "") return html`<${None} />`;
  if (MONEY.has(field)) return html`<span class="sum">${moneyWithCode(value, group.currency)}</span>`;
  if (field === "price") return html`<span class="sum">${moneyWithCode(value.amount, value.currency)}</span>`;
  if (field === "list_amount") return html`<span class="sum">${moneyWithCode(value, group.price.currency)}</span>`;
  if (/_(at|until|by)$/.test(field)) return html`<${Time} at=${value} seconds=${true} />`;
  if (field === "status") return html`<${Status} payment=${{ status: value }} />`;
  if (field === "enrollment") return html`<${EnrollmentStatus} status=${value} />`;
  if (field === "plan") return html`<a href=${routeTo(["plans", value])}>${value}</a>`;
  if (field === "covers") return value.length ? value.join(", ") : html`<${None} />`;
  if (field === "user_id") return html`<${UserLink} id=${value} />`;
  if (field.endsWith("_url")) return html`<${StripeLink} href=${value}>Open<//>`;
  if (STRIPE_PAGES[field] && group[STRIPE_PAGES[field]])
    return html`<${Id} id=${value} /> <${StripeLink} href=${group[STRIPE_PAGES[field]]}>Stripe<//>`;
  if (IDS.has(field)) return html`<${Id} id=${value} />`;
  if (field === "brand" && value !== NOT_RECORDED) return shortMethodName({ brand: value });
  if (typeof value === "boolean") return value ? "yes" : "no";
  return String(value);
}
