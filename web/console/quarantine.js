// Quarantine: Stripe events that we could not process. Staff see why, what Stripe sent, and can retry or discard.
import { explain, get, post, reportSessionExpired, useDraft, useResponse } from "./api.js";
import { Button, Empty, Id, WhenLoaded, Loading, Pager, Time } from "./components.js";
import { ConfirmDialog, TextField } from "./dialog.js";
import { html, useRef, useState } from "./preact.js";
import { openDialog } from "./route.js";

const OUTCOMES = {
  applied: "Applied. It has left quarantine.",
  expired: "Its payment was deleted seven years after its money moved last. It has left quarantine.",
  foreign: "It belongs to another app, mode or environment. It has left quarantine.",
  ignored: "We don’t use events of this type. It has left quarantine.",
  not_found: "Its payment doesn’t exist and no money was paid. It has left quarantine.",
  quarantined: "Still failing. It stays in quarantine.",
};

export function Quarantine({ query, staff }) {
  const state = useResponse(() => get("/admin/quarantine", { limit: 50, cursor: query.cursor }), [query.cursor]);
  const [message, setMessage] = useState({});
  const [busyId, setBusyId] = useState("");
  const running = useRef(false);
  const retry = async (id) => {
    if (running.current) return;
    running.current = true;
    setBusyId(id);
    try {
      const { outcome } = await post(`/admin/quarantine/${encodeURIComponent(id)}/replay`);
      setMessage({ text: `${id}: ${OUTCOMES[outcome] ?? outcome}`, good: outcome !== "quarantined" });
      state.reload();
    } catch (error) {
      if (!reportSessionExpired(error))
        setMessage({ text: `${id}: ${explain(error)} It’s safe to try again.`, good: false });
    } finally {
      running.current = false;
      setBusyId("");
    }
  };
  const done = (text) => {
    if (text) setMessage({ text, good: true });
    state.reload();
  };
  const empty = ({ events, next_cursor: next }) =>
    !events.length && !next && html`<${Empty} title="Quarantine is empty"><p>Every Stripe event was processed.</p><//>`;
  return html`<h1 tabindex="-1">Quarantine</h1>
    <p class="small">Stripe events we couldn’t process. Fix the cause, then retry; retrying is safe. Discard an event that must not be applied.</p>
    ${message.text && html`<p class=${`note ${message.good ? "good" : "warn"}`} role="status">${message.text}</p>`}
    <${WhenLoaded} of=${state} empty=${empty}>
      ${({ events, next_cursor: next }) => html`<div class="scroll"><table class="rows">
        <thead><tr><th>First received</th><th>Reason</th><th>Event</th><th class="right">Attempts</th><th>Last attempt</th><th><span class="visually-hidden">Actions</span></th></tr></thead>
        <tbody>${events.map(
          (event) => html`<tr key=${event.event_id}>
          <td><${Time} at=${event.first_at} /></td>
          <td class="long">${event.reason}<${EventDetails} id=${event.event_id} /></td>
          <td><${Id} id=${event.event_id} /></td>
          <td class="right">${event.tries}</td>
          <td><${Time} at=${event.last_at} /></td>
          <td class="actions">${staff.decides && html`<${Button} class="quiet" busy=${busyId === event.event_id} onClick=${() => retry(event.event_id)}>Retry<//>
            <button type="button" class="quiet" onClick=${() => openDialog("discard", { on: event.event_id })}>Discard…</button>`}</td>
        </tr>`,
        )}</tbody>
      </table></div>
      <${Pager} path=${["quarantine"]} query=${query} next=${next} count=${events.length} />`}
    <//>
    ${staff.decides && query.do === "discard" && query.on && html`<${DiscardDialog} key=${query.on} id=${query.on} done=${done} />`}`;
}

const CONSEQUENCE =
  "What Stripe sent is removed, and the event is not tried again. Its ID and reason stay for 90 days. The payment doesn’t change.";

/** Discard an event that is not to be applied. */
function DiscardDialog({ id, done }) {
  const path = `/admin/quarantine/${encodeURIComponent(id)}`;
  const [note, setNote, discardDraft] = useDraft(`discard.${id}`);
  const submit = async () => {
    await post(`${path}/discard`, { note: note.trim() });
    discardDraft();
    return `${id}: Discarded. It has left quarantine.`;
  };
  const check = async () => {
    const { event } = await get(path);
    if (!event.discarded) return { text: "We checked: it was not discarded. It’s safe to try again." };
    discardDraft();
    return { text: "We checked: it is discarded.", final: true };
  };
  return html`<${ConfirmDialog} title="Discard event" consequence=${CONSEQUENCE} confirmText="Discard" danger=${true} ready=${note.trim() !== ""} submit=${submit} check=${check} done=${done}>
    <${TextField} id="note" label="Reason" required=${true} text=${note} write=${setNote} hint="Internal note; only staff can see this." />
  <//>`;
}

/** The event as Stripe sent it, loaded when it is opened. */
function EventDetails({ id }) {
  const [open, setOpen] = useState(false);
  return html`<details onToggle=${(event) => setOpen(event.target.open)}><summary>What Stripe sent</summary>${open && html`<${Payload} id=${id} />`}</details>`;
}

function Payload({ id }) {
  const { response, error } = useResponse(() => get(`/admin/quarantine/${encodeURIComponent(id)}`), [id]);
  if (error) return html`<p class="small" role="alert">${explain(error)}</p>`;
  if (!response) return html`<${Loading} />`;
  return html`<pre tabindex="0" aria-label=${`Event ${id}`}>${JSON.stringify(response.event.payload, null, 2)}</pre>`;
}
