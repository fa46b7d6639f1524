// Quarantine: Stripe events that we could not process. Staff see why, what Stripe sent, and can retry.
import { explain, get, post, reportSessionExpired, useResponse } from "./api.js";
import { Button, Empty, Id, WhenLoaded, Loading, Pager, Time } from "./components.js";
import { html, useRef, useState } from "./preact.js";

const OUTCOMES = {
  applied: "Applied. It has left quarantine.",
  foreign: "It belongs to another app, mode or environment. It has left quarantine.",
  ignored: "We don’t use events of this type. It has left quarantine.",
  not_found: "Its payment doesn’t exist and no money was paid. It has left quarantine.",
  quarantined: "Still failing. It stays in quarantine.",
};

export function Quarantine({ query, staff }) {
  const state = useResponse(() => get("/admin/quarantine/", { limit: 50, cursor: query.cursor }), [query.cursor]);
  const [message, setMessage] = useState({});
  const [busyId, setBusyId] = useState("");
  const running = useRef(false);
  const retry = async (id) => {
    if (running.current) return;
    running.current = true;
    setBusyId(id);
    try {
      const { outcome } = await post(`/admin/quarantine/${encodeURIComponent(id)}/replay/`);
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
  const empty = ({ events, next_cursor: next }) =>
    !events.length && !next && html`<${Empty} title="Quarantine is empty"><p>Every Stripe event was processed.</p><//>`;
  return html`<h1 tabindex="-1">Quarantine</h1>
    <p class="small">Stripe events we couldn’t process. Fix the cause, then retry; retrying is safe.</p>
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
          <td class="actions">${staff.decides && html`<${Button} class="quiet" busy=${busyId === event.event_id} onClick=${() => retry(event.event_id)}>Retry<//>`}</td>
        </tr>`,
        )}</tbody>
      </table></div>
      <${Pager} path=${["quarantine"]} query=${query} next=${next} count=${events.length} />`}
    <//>`;
}

/** The event as Stripe sent it, loaded when it is opened. */
function EventDetails({ id }) {
  const [open, setOpen] = useState(false);
  return html`<details onToggle=${(event) => setOpen(event.target.open)}><summary>What Stripe sent</summary>${open && html`<${Payload} id=${id} />`}</details>`;
}

function Payload({ id }) {
  const { response, error } = useResponse(() => get(`/admin/quarantine/${encodeURIComponent(id)}/`), [id]);
  if (error) return html`<p class="small" role="alert">${explain(error)}</p>`;
  if (!response) return html`<${Loading} />`;
  return html`<pre tabindex="0" aria-label=${`Event ${id}`}>${JSON.stringify(response.event.payload, null, 2)}</pre>`;
}
