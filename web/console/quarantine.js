// Quarantine: Stripe events that we could not process. Staff see why, what Stripe sent, and can retry or discard.
import { explain, get, post, reportSessionExpired, useResponse } from "./api.js";
import { Button, Empty, Id, WhenLoaded, Loading, Pager, Time } from "./components.js";
import { html, useRef, useState } from "./preact.js";
import { DiscardBatch, DiscardDialog, outcomeText, RetryBatch } from "./quarantine_dialogs.js";
import { Choose, ChooseAll, QueueBar, useQueue } from "./queue.js";
import { Result } from "./result.js";
import { openDialog } from "./route.js";

export function Quarantine({ query, staff }) {
  const state = useResponse(() => get("/admin/quarantine", { limit: 50, cursor: query.cursor }), [query.cursor]);
  const [busyId, setBusyId] = useState("");
  const running = useRef(false);
  const events = state.response?.events ?? [];
  const rows = events.map((event) => ({ key: event.event_id, canChoose: true, event }));
  const queue = useQueue(rows, state);
  const { done, result, setResult } = queue;
  const retry = async (id) => {
    if (running.current) return;
    running.current = true;
    setBusyId(id);
    try {
      const { outcome } = await post(`/admin/quarantine/${encodeURIComponent(id)}/replay`);
      const hasLeft = outcome !== "quarantined";
      setResult({ text: `${id}: ${outcomeText(outcome)}`, kind: hasLeft ? "good" : "warn" });
      if (hasLeft) queue.decided([id]);
      state.reload();
    } catch (error) {
      if (!reportSessionExpired(error))
        setResult({ text: `${id}: ${explain(error)} It’s safe to try again.`, kind: "warn" });
    } finally {
      running.current = false;
      setBusyId("");
    }
  };
  const empty = ({ events: shown, next_cursor: next }) =>
    !shown.length && !next && html`<${Empty} title="Quarantine is empty"><p>Every Stripe event was processed.</p><//>`;
  const open = (name) => queue.withChosen(() => openDialog(name));
  return html`<h1 tabindex="-1">Quarantine</h1>
    <p class="small">Stripe events we couldn’t process. Fix the cause, then retry; retrying is safe. Discard an event that must not be applied.</p>
    <${Result} result=${result} />
    <${WhenLoaded} of=${state} empty=${empty}>
      ${({ next_cursor: next }) => html`
      ${staff.decides && html`<${QueueBar} queue=${queue}>
        <button type="button" class="quiet" onClick=${() => open("retry-selected")}>Retry selected…</button>
        <button type="button" class="quiet" onClick=${() => open("discard-selected")}>Discard selected…</button><//>`}
      <div class="scroll"><table class="rows queue">
        <caption class="visually-hidden">Stripe events in quarantine, newest first</caption>
        <thead><tr>${staff.decides && html`<${ChooseAll} queue=${queue} />`}<th scope="col">First received</th><th scope="col">Reason</th><th scope="col">Event</th><th scope="col" class="right">Attempts</th><th scope="col">Last attempt</th><th scope="col"><span class="visually-hidden">Actions</span></th></tr></thead>
        <tbody>${rows.map((row) => html`<${Row} key=${row.key} row=${row} queue=${queue} staff=${staff} busy=${busyId === row.key} retry=${retry} />`)}</tbody>
      </table></div>
      <${Pager} path=${["quarantine"]} query=${query} next=${next} count=${events.length} />`}
    <//>
    ${staff.decides && html`<${OpenDialog} key=${`${query.do} ${query.on}`} query=${query} queue=${queue} done=${done} />`}`;
}

function Row({ row, queue, staff, busy, retry }) {
  const { event, key } = row;
  const of = html`<span class="visually-hidden"> ${key}</span>`;
  return html`<tr data-row=${key}>
    ${staff.decides && html`<${Choose} queue=${queue} row=${row} name=${key} />`}
    <td><${Time} at=${event.first_at} /></td>
    <td class="long">${event.reason}<${EventDetails} id=${key} /></td>
    <td><${Id} id=${key} /></td>
    <td class="right" data-label="Attempts">${event.tries}</td>
    <td data-label="Last attempt"><${Time} at=${event.last_at} /></td>
    <td class="actions">${staff.decides && html`<${Button} class="quiet" data-next busy=${busy} onClick=${() => retry(key)}>Retry${of}<//>
      <button type="button" class="quiet" onClick=${() => openDialog("discard", { on: key })}>Discard…${of}</button>`}</td>
  </tr>`;
}

/** The dialog named in the address: about one event, or about those that were chosen when it opened. */
function OpenDialog({ query, queue, done }) {
  const chosen = useRef(queue.chosen);
  const ids = chosen.current;
  if (query.do === "discard" && query.on)
    return html`<${DiscardDialog} id=${query.on} done=${(text) => done(text ? [query.on] : [], text)} />`;
  if (query.do === "retry-selected" && ids.length) return html`<${RetryBatch} ids=${ids} done=${done} />`;
  if (query.do === "discard-selected" && ids.length) return html`<${DiscardBatch} ids=${ids} done=${done} />`;
  return null;
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
