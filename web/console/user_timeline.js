// The timeline of a student: all their payments, plans, emails and requests, and their own records, in one order.
import { get, reportSessionExpired } from "./api.js";
import { ErrorMessage, Loading } from "./components.js";
import { html, useEffect, useState } from "./preact.js";
import { AuditStatus, EntryList } from "./timeline.js";
import { inOrder, planEntries, recordEntry, timelineEntries } from "./timeline_entries.js";

/** The entries of a payment, each with the payment that it belongs to. */
function entriesOf(events) {
  const { payment } = events;
  return timelineEntries(events).map((entry) => ({ ...entry, key: `${payment.payment_id} ${entry.key}`, payment }));
}

/** The plans of two pages. A page repeats a plan whose payments are on both. */
const together = (before, more) => [...before.filter(({ plan }) => !more.some((one) => one.plan.plan_id === plan.plan_id)), ...more];

/**
 * The timeline of the user `id`. `audit` are their own records, verified by `chain`. It loads again when `version`
 * changes. Older payments are loaded on demand, and their events are put between the others.
 */
export function UserTimeline({ id, version, audit, chain }) {
  const [{ payments, plans, next, error, loading }, set] = useState({ payments: [], plans: [], loading: true });
  const load = async (cursor) => {
    set((before) => ({ ...before, loading: true, error: undefined }));
    try {
      const page = await get("/admin/users/timeline", { user_id: id, cursor });
      set((before) => ({ payments: [...(cursor ? before.payments : []), ...page.payments], plans: together(cursor ? before.plans : [], page.plans), next: page.next_cursor }));
    } catch (failure) {
      if (!reportSessionExpired(failure)) set((before) => ({ ...before, loading: false, error: failure }));
    }
  };
  useEffect(() => {
    load();
  }, [id, version]);
  const entries = inOrder([...payments.flatMap(entriesOf), ...plans.flatMap((one) => planEntries({ ...one, plan: { ...one.plan, user_id: id } })), ...audit.map((record) => recordEntry(record))]);
  const status = audit.length > 0 && html`<${AuditStatus} chain=${chain} count=${audit.length} />`;
  return html`<${EntryList} entries=${entries} status=${status}>
    ${error && html`<${ErrorMessage} error=${error} retry=${() => load(payments.length ? next : undefined)} />`}
    ${loading && html`<${Loading} />`}
    ${next && !loading && html`<p>Shows the newest ${payments.length} payments. <button type="button" class="quiet" onClick=${() => load(next)}>Load older payments</button></p>`}
  <//>`;
}
