// The number and the sums of all payments that match the filters, on request.
import { moneyWithCode } from "../shared/format.js";
import { explain, get, reportSessionExpired } from "./api.js";
import { Button } from "./components.js";
import { html, useEffect, useRef, useState } from "./preact.js";

const MAX_READ = 5000;
const number = (value) => value.toLocaleString("en");
const payments = (count) => `${number(count)} ${count === 1 ? "payment" : "payments"}`;

/** Add the API's answers up, until all payments or `MAX_READ` are read. `show` is called after each answer. */
async function addUp(filters, show) {
  const total = { payments: 0, read: 0, sums: new Map() };
  let cursor;
  do {
    const part = await get("/admin/payments/totals", { ...filters, cursor });
    cursor = part.next_cursor;
    total.payments += part.payments;
    total.read += part.read;
    for (const { currency, ...amounts } of part.sums) {
      const sums = total.sums.get(currency) ?? { amount: 0, received: 0, refunded: 0 };
      for (const name of Object.keys(sums)) sums[name] += amounts[name];
      total.sums.set(currency, sums);
    }
    total.isPart = Boolean(cursor);
    if (!show({ ...total })) return;
  } while (cursor && total.read < MAX_READ);
}

/** The button, and then what it has counted. It starts again with other filters. */
export function Totals({ filters }) {
  const key = JSON.stringify(filters);
  const shown = useRef(key);
  const [state, set] = useState({});
  useEffect(() => {
    shown.current = key;
    set({});
  }, [key]);
  const count = async () => {
    const isCurrent = () => shown.current === key;
    set({ busy: true });
    try {
      await addUp(filters, (total) => isCurrent() && (set({ busy: true, total }), true));
    } catch (error) {
      if (isCurrent() && !reportSessionExpired(error)) set({ error: explain(error) });
      return;
    }
    if (isCurrent()) set(({ total }) => ({ total }));
  };
  return html`<${Button} class="quiet" busy=${state.busy} onClick=${count}>Count and sum<//>
    <span role="status">${state.busy && `Counting… ${state.total ? `${number(state.total.read)} read` : ""}`}${!state.busy && state.total && html`<${Result} total=${state.total} />`}</span>
    ${state.error && html`<span class="error" role="alert">${state.error}</span>`}`;
}

function Result({ total }) {
  const { sums, isPart, read } = total;
  const amounts = [...sums].map(([currency, { amount, received, refunded }]) => {
    const text = (value) => moneyWithCode(value, currency);
    return `${text(amount)}, of which ${text(received)} received and ${text(refunded)} refunded`;
  });
  return html`<span><strong>${isPart ? "More than " : ""}${payments(total.payments)}</strong>${amounts.length > 0 && `: ${amounts.join("; ")}`}.${isPart && ` Only the first ${number(read)} payments were read.`}</span>`;
}
