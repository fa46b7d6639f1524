// The invoice and the credit notes of a payment, as Stripe has them now.
import { moneyWithCode } from "../shared/format.js";
import { get, useResponse } from "./api.js";
import { None, StripeLink, Time, WhenLoaded } from "./components.js";
import { html } from "./preact.js";

const KINDS = { invoice: "Invoice", credit_note: "Credit note" };

/** The section of a payment whose student asked for an invoice. */
export function Documents({ payment }) {
  if (!payment.invoice) return null;
  return html`<section class="panel" aria-labelledby="documents"><h2 id="documents">Documents</h2>
    ${payment.invoice === "issued" ? html`<${IssuedDocuments} id=${payment.payment_id} refunded=${payment.refund_amount} />` : html`<p>The student needs an invoice. Stripe makes it once the student has paid.</p>`}
  </section>`;
}

/** The documents, which are loaded again after a refund. Their links expire, so nothing keeps them. */
function IssuedDocuments({ id, refunded }) {
  const state = useResponse(() => get(`/admin/payments/${encodeURIComponent(id)}/documents`), [id, refunded]);
  const empty = ({ documents }) => !documents.length && html`<p>Stripe has no invoice for this payment.</p>`;
  return html`<${WhenLoaded} of=${state} empty=${empty}>${({ documents }) => html`<div class="scroll" tabindex="0" role="region" aria-labelledby="documents"><table>
    <caption class="visually-hidden">Invoice and credit notes</caption>
    <thead><tr><th scope="col">Document</th><th scope="col">Date</th><th scope="col" class="right">Amount</th><th scope="col">Refund</th><th scope="col">Links</th></tr></thead>
    <tbody>${documents.map((one) => html`<${Row} key=${one.id} document=${one} />`)}</tbody></table></div>`}<//>`;
}

function Row({ document: { kind, id, number, created_at: createdAt, amount, currency, refund, ...links } }) {
  const name = `${KINDS[kind]} ${number ?? id}`;
  const link = (href, text) => href && html`<${StripeLink} href=${href}>${text}<span class="visually-hidden"> ${name}</span><//> `;
  return html`<tr><td>${name}</td><td><${Time} at=${createdAt} /></td>
    <td class="right"><span class="sum">${moneyWithCode(kind === "invoice" ? amount : -amount, currency)}</span></td>
    <td>${refund ? html`<code>${refund}</code>` : html`<${None} />`}</td>
    <td>${link(links.url, "View")}${link(links.pdf_url, "PDF")}${link(links.dashboard_url, "Dashboard")}</td></tr>`;
}
