// The number and the sums of all payments or plans that match the filters, on request.
import { moneyWithCode } from "../shared/format.js";
import { explain, get, reportSessionExpired } from "./api.js";
import { Button } from "./components.js";
import { html, useEffect, useRef, useState } from "./preact.js";

const MAX_READ = 5000;
const number = (value) => value.toLocaleString("en");
const LISTS = {
  payments: {
    one: "payment",
    amounts: ["amount", "received", "refunded"],
    text: (amount, received, refunded) => `${amount}, of which ${received} received and ${refunded} refunded`,
  },
  plans: {
    one: "plan",
    amounts: ["received", "refunded", "outstanding"],
    text: (received, refunded, outstanding) => `${received} received, ${refunded} refunded, ${outstanding} outstanding`,
  },
};
const countOf = (count, list) => `${number(count)} ${count === 1 ? LISTS[list].one : list}`;

/** Add the API's answers up, until all or `MAX_READ` are read. `show` is called after each answer. */
async function addUp(list, filters, show) {
  const total = { count: 0, read: 0, sums: new Map() };
  let cursor;
  do {
    const part = await get(`/admin/${list}/totals`, { ...filters, cursor });
    cursor = part.next_cursor;
    total.count += part[list];
    total.read += part.read;
    for (const { currency, ...amounts } of part.sums) {
      const sums = total.sums.get(currency) ?? LISTS[list].amounts.map(() => 0);
      total.sums.set(currency, sums.map((sum, index) => sum + amounts[LISTS[list].amounts[index]]));
    }
    total.isPart = Boolean(cursor);
    if (!show({ ...total })) return;
  } while (cursor && total.read < MAX_READ);
}

/** The button, and what it has counted of the `list` of payments or plans, until a filter or one of them changes. */
export function Totals({ list, filters }) {
  const key = JSON.stringify(filters);
  const run = useRef(0); // the number of the newest count
  const [state, set] = useState({});
  useEffect(() => {
    const forget = () => {
      run.current += 1;
      set({});
    };
    forget();
    window.addEventListener("payment-changed", forget);
    return () => window.removeEventListener("payment-changed", forget);
  }, [key]);
  const count = async () => {
    run.current += 1;
    const own = run.current;
    const isCurrent = () => run.current === own;
    set({ busy: true });
    try {
      await addUp(list, filters, (total) => isCurrent() && (set({ busy: true, total }), true));
    } catch (error) {
      if (isCurrent() && !reportSessionExpired(error)) set({ error: explain(error) });
      return;
    }
    if (isCurrent()) set(({ total }) => ({ total }));
  };
  return html`<${Button} class="quiet" busy=${state.busy} onClick=${count}>Count and sum<//>
    <span role="status">${state.busy && `Counting… ${state.total ? `${number(state.total.read)} read` : ""}`}${!state.busy && state.total && html`<${Result} list=${list} total=${state.total} />`}</span>
    ${state.error && html`<span class="error" role="alert">${state.error}</span>`}`;
}

function Result({ list, total }) {
  const { count, sums, isPart, read } = total;
  const amounts = [...sums].map(([currency, values]) =>
    LISTS[list].text(...values.map((value) => moneyWithCode(value, currency))),
  );
  return html`<span><strong>${isPart ? "More than " : ""}${countOf(count, list)}</strong>${amounts.length > 0 && `: ${amounts.join("; ")}`}.${isPart && ` Only the first ${countOf(read, list)} were read.`}</span>`;
}
