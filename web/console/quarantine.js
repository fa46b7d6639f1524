// Events of ours that could not be applied: why, what Stripe sent, and trying them again.
import { explain, left, read, send, useAnswer } from "./api.js";
import { html, useRef, useState } from "./html.js";
import { Answer, Button, Empty, Id, Pager, Time, Waiting } from "./parts.js";

const OUTCOMES = {
  applied: "Applied: it has left the quarantine.",
  foreign: "It is another app’s or environment’s: it has left the quarantine.",
  ignored: "It is of a kind that is not used: it has left the quarantine.",
  left: "Its payment is not there, and nothing was paid: it has left the quarantine.",
  quarantined: "It still cannot be applied, and stays.",
};

export function Quarantine({ query, staff }) {
  const found = useAnswer(() => read("/admin/quarantine/", { limit: 50, cursor: query.cursor }), [query.cursor]);
  const [said, say] = useState({});
  const [busy, setBusy] = useState("");
  const running = useRef(false);
  const replay = async (id) => {
    if (running.current) return;
    running.current = true;
    setBusy(id);
    try {
      const { outcome } = await send(`/admin/quarantine/${encodeURIComponent(id)}/replay/`);
      say({ text: `${id}: ${OUTCOMES[outcome] ?? outcome}`, good: outcome !== "quarantined" });
      found.again();
    } catch (error) {
      if (!left(error)) say({ text: `${id}: ${explain(error)} Trying it again is safe.`, good: false });
    } finally {
      running.current = false;
      setBusy("");
    }
  };
  return html`<h1 tabindex="-1">Quarantine</h1>
    <p class="small">Events of ours that could not be applied. Mend the cause, then try them again: an event counts once, however often it is tried.</p>
    ${said.text && html`<p class=${`note ${said.good ? "good" : "warn"}`} role="status">${said.text}</p>`}
    <${Answer} of=${found} empty=${({ events, next_cursor: more }) => !events.length && !more && html`<${Empty} title="The quarantine is empty"><p>Every event of ours was applied.</p><//>`}>
      ${({ events, next_cursor: more }) => html`<div class="scroll"><table class="rows">
        <thead><tr><th>First</th><th>Why it cannot be applied</th><th>Event</th><th class="right">Tries</th><th>Last tried</th><th><span class="visually-hidden">Act</span></th></tr></thead>
        <tbody>${events.map(
          (event) => html`<tr key=${event.event_id}>
          <td><${Time} at=${event.first_at} /></td>
          <td class="long">${event.reason}<${Sent} id=${event.event_id} /></td>
          <td><${Id} id=${event.event_id} /></td>
          <td class="right">${event.tries}</td>
          <td><${Time} at=${event.last_at} /></td>
          <td class="actions">${staff.decides && html`<${Button} class="quiet" busy=${busy === event.event_id} onClick=${() => replay(event.event_id)}>Try again<//>`}</td>
        </tr>`,
        )}</tbody>
      </table></div>
      <${Pager} path=${["quarantine"]} query=${query} next=${more} count=${events.length} />`}
    <//>`;
}

/** The event as Stripe sent it, read when it is asked for. */
function Sent({ id }) {
  const [wanted, want] = useState(false);
  return html`<details onToggle=${(event) => want(event.target.open)}><summary>What Stripe sent</summary>${wanted && html`<${Payload} id=${id} />`}</details>`;
}

function Payload({ id }) {
  const found = useAnswer(() => read(`/admin/quarantine/${encodeURIComponent(id)}/`), [id]);
  if (found.error) return html`<p class="small" role="alert">${explain(found.error)}</p>`;
  if (!found.answer) return html`<${Waiting} />`;
  return html`<pre tabindex="0" aria-label=${`Event ${id}`}>${JSON.stringify(found.answer.event.payload, null, 2)}</pre>`;
}
