// Canceling a payment that the student has started and not paid.
import { Problem } from "../shared/api.js";
import { h } from "../shared/dom.js";
import { money } from "../shared/format.js";
import * as api from "./api.js";
import { confirm } from "./dialog.js";
import { texts } from "./text.js";

const words = texts.cancel;

/**
 * Ask, then cancel the payment. `onDone` receives the updated payment and a message about it. If it was paid a moment ago,
 * perhaps in another tab, the paid payment takes its place.
 */
export function cancelPayment({ payment, title }, onDone) {
  const { payment_id: id, amount, currency } = payment;
  confirm({
    title: words.title(title),
    content: h("p", {}, words.consequence(money(amount, currency))),
    confirmText: words.confirm,
    cancelText: words.keep,
    work: () =>
      api.cancelPayment(id).catch((error) => {
        if (error instanceof Problem && error.type === "already-paid") return api.readPayment(id);
        throw error;
      }),
    onDone: (updated) => onDone(updated, updated.status === "CANCELED" ? words.done : words.paid),
  });
}
