// Withdrawing from the contract, where consumers have the EU's right to do so. It takes effect at once.
// The labels are those of Article 11a of the Consumer Rights Directive: https://eur-lex.europa.eu/eli/dir/2023/2673/oj
import { SessionExpired } from "../shared/api.js";
import { h, icon } from "../shared/dom.js";
import { day, moment, money } from "../shared/format.js";
import { currentUser } from "../shared/session.js";
import * as api from "./api.js";
import { confirm } from "./dialog.js";

/** Whether the student can withdraw from the contract of a payment now. */
export const canWithdraw = ({ withdrawal }) =>
  Boolean(withdrawal?.possible_until) && new Date(withdrawal.possible_until) > Date.now();

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
        "You withdrew from this contract on ",
        h("time", { datetime: at }, moment(at)),
        `.${email ? ` We send the acknowledgement to ${email}.` : ""}`,
      ),
      status === "PROCESSING" &&
        h("p", {}, `If your bank makes the payment of ${money(amount, currency)}, you get it back by ${day(dueBy)} at the latest.`),
      isDue && h("p", {}, `You get ${money(refundable, currency)} back by ${day(dueBy)} at the latest.`),
    ),
  );
}

/** Show the declaration, then submit it when the student confirms. `onDone` receives the payment and a message. */
export function requestWithdrawal({ payment, title }, onDone) {
  const { payment_id: id, status, amount, refundable_amount: refundable, currency, created_at: createdAt } = payment;
  const email = currentUser()?.email;
  const item = (name, text) => [h("dt", {}, name), h("dd", {}, text)];
  confirm({
    title: "Withdraw from contract",
    content: h(
      "div",
      {},
      h("p", {}, `You withdraw from the contract for ${title}. You need no reason.`),
      h("dl", { class: "small" }, [
        ...item("Contract", title),
        ...item("Order", id),
        ...item("Ordered on", moment(createdAt)),
        ...item(status === "PROCESSING" ? "Price" : "Paid", money(amount, currency)),
        ...item("Acknowledgement to", email ?? "the email address of your order"),
      ]),
      h("ul", {}, [
        h("li", {}, "The withdrawal takes effect at once and can’t be undone."),
        status === "PROCESSING" && h("li", {}, "If your bank makes the payment, you get it back. If it fails, you owe nothing."),
        refundable > 0 && h("li", {}, `You get ${money(refundable, currency)} back, within 14 days at the latest.`),
        status !== "PROCESSING" &&
          !payment.no_access_reason &&
          h("li", {}, `You’ll lose access to ${title}. Your progress is saved in case you come back.`),
      ]),
      h("label", { for: "withdrawal-name" }, "Your name"),
      h("input", { id: "withdrawal-name", name: "name", autocomplete: "name", maxlength: "200", required: true }),
    ),
    confirmText: "Confirm withdrawal",
    cancelText: "Cancel",
    work: async (form) => {
      const name = form.get("name").replace(/\s+/g, " ").trim();
      const updated = await api.withdraw(id, name).catch((error) => paymentAfterError(id, error));
      onDone(updated, `We received your withdrawal on ${moment(updated.withdrawal.submitted_at)}.`);
    },
  });
}

/** After an error: the payment, if the withdrawal was received anyway. Rethrows the error otherwise. */
async function paymentAfterError(id, error) {
  if (error instanceof SessionExpired) throw error;
  const updated = await api.getPayment(id).catch(() => undefined);
  if (!updated?.withdrawal?.submitted_at) throw error;
  return updated;
}
