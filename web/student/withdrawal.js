// Withdrawing from the contract, where consumers have the EU's right to do so. It takes effect at once.
// The labels are those of Article 11a of the Consumer Rights Directive: https://eur-lex.europa.eu/eli/dir/2023/2673/oj
import { SessionExpired } from "../shared/api.js";
import { h, icon } from "../shared/dom.js";
import { day, moment, money } from "../shared/format.js";
import { currentUser } from "../shared/session.js";
import * as api from "./api.js";
import { confirm } from "./dialog.js";
import { texts } from "./text.js";

const words = texts.withdrawal;

/** The declaration of the student, and when their money is due; undefined without a withdrawal. */
export function withdrawalNote({ withdrawal, status, amount, refundable_amount: refundable, currency, dispute }) {
  if (!withdrawal?.submitted_at) return undefined;
  const { submitted_at: at, email, refund_due_by: dueBy } = withdrawal;
  const isDue = status !== "REFUNDED" && refundable > 0 && dispute !== "open";
  return h(
    "div",
    { class: "note info" },
    icon("check"),
    h(
      "div",
      {},
      h(
        "p",
        {},
        ...words.declared(h("time", { datetime: at }, moment(at)), email ? words.acknowledged(email) : ""),
      ),
      status === "PROCESSING" &&
        h("p", {}, words.processing(money(amount, currency), day(dueBy))),
      isDue && h("p", {}, words.due(money(refundable, currency), day(dueBy))),
    ),
  );
}

/** Show the declaration, then submit it when the student confirms. `onDone` receives the payment and a message. */
export function requestWithdrawal({ payment, title }, onDone) {
  const { payment_id: id, status, amount, refundable_amount: refundable, currency, created_at: createdAt } = payment;
  const email = currentUser()?.email;
  const item = (name, text) => [h("dt", {}, name), h("dd", {}, text)];
  confirm({
    title: words.title,
    content: h(
      "div",
      {},
      h("p", {}, words.lead(title)),
      h("dl", { class: "small" }, [
        ...item(words.contract, title),
        ...item(words.order, id),
        ...item(words.ordered, moment(createdAt)),
        ...item(status === "PROCESSING" ? words.price : words.paid, money(amount, currency)),
        ...item(words.acknowledgement, email ?? words.address_of_order),
      ]),
      h("ul", {}, [
        h("li", {}, words.final),
        status === "PROCESSING" && h("li", {}, words.returned),
        refundable > 0 && h("li", {}, words.refunded(money(refundable, currency))),
        status !== "PROCESSING" &&
          !payment.no_access_reason &&
          h("li", {}, words.access_lost(title)),
      ]),
      h("label", { for: "withdrawal-name" }, words.name),
      h("input", { id: "withdrawal-name", name: "name", autocomplete: "name", maxlength: "200", required: true }),
    ),
    confirmText: words.confirm,
    cancelText: words.cancel,
    draft: `withdrawal ${id}`,
    work: (form) => {
      const name = form.get("name").replace(/\s+/g, " ").trim();
      return api.withdraw(id, name).catch((error) => paymentAfterError(id, error));
    },
    onDone: (updated) => onDone(updated, words.received(moment(updated.withdrawal.submitted_at))),
  });
}

/** After an error: the payment, if the withdrawal was received anyway. Rethrows the error otherwise. */
async function paymentAfterError(id, error) {
  if (error instanceof SessionExpired) throw error;
  const updated = await api.getPayment(id).catch(() => undefined);
  if (!updated?.withdrawal?.submitted_at) throw error;
  return updated;
}
