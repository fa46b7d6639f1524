// Retrying and discarding events in quarantine, one or several at once.
import { get, post, useDraft } from "./api.js";
import { BatchDialog } from "./batch_dialog.js";
import { ConfirmDialog, TextField } from "./dialog.js";
import { html } from "./preact.js";

const OUTCOMES = {
  applied: "Applied. It has left quarantine.",
  expired: "Its payment was deleted seven years after its money moved last. It has left quarantine.",
  foreign: "It belongs to another app, mode or environment. It has left quarantine.",
  ignored: "We don’t use events of this type. It has left quarantine.",
  not_found: "Its payment doesn’t exist and no money was paid. It has left quarantine.",
  quarantined: "Still failing. It stays in quarantine.",
};
const NOTE_HINT = "Internal note; only staff can see this.";

/** The outcome of a retry as a sentence. */
export const outcomeText = (outcome) => OUTCOMES[outcome] ?? outcome;

const path = (id) => `/admin/quarantine/${encodeURIComponent(id)}`;
const itemsOf = (ids) => ids.map((id) => ({ key: id, label: id }));
const count = (ids) => (ids.length === 1 ? "1 event" : `${ids.length} events`);

/** Whether an event was discarded, for a dialog whose response was lost. */
async function checkDiscarded(id) {
  const { event } = await get(path(id));
  if (!event.discarded) return { text: "We checked: it was not discarded. It’s safe to try again." };
  return { text: "We checked: it is discarded.", final: true };
}

const ONE_DISCARDED =
  "What Stripe sent is removed, and the event is not tried again. Its ID and reason stay for 90 days. The payment doesn’t change.";
const SEVERAL_DISCARDED =
  "What Stripe sent is removed, and none of the events is tried again. Their IDs and reasons stay for 90 days. The payments don’t change.";

/** Discard an event that is not to be applied. */
export function DiscardDialog({ id, done }) {
  const [note, setNote, discardDraft] = useDraft(`discard.${id}`);
  const submit = async () => {
    await post(`${path(id)}/discard`, { note: note.trim() });
    discardDraft();
    return `${id}: Discarded. It has left quarantine.`;
  };
  const check = async () => {
    const outcome = await checkDiscarded(id);
    if (outcome.final) discardDraft();
    return outcome;
  };
  return html`<${ConfirmDialog} title="Discard event" consequence=${ONE_DISCARDED} confirmText="Discard" danger=${true} ready=${note.trim() !== ""} submit=${submit} check=${check} done=${done}>
    <${TextField} id="note" label="Reason" required=${true} text=${note} write=${setNote} hint=${NOTE_HINT} />
  <//>`;
}

/** Process these events again. An event that still fails stays, and the others continue. */
export function RetryBatch({ ids, done }) {
  const send = async ({ key }) => {
    const { outcome } = await post(`${path(key)}/replay`);
    return outcome === "quarantined" ? { text: outcomeText(outcome), kind: "bad" } : outcomeText(outcome);
  };
  const check = async () => ({ text: "It’s safe to try again." });
  const finish = (keys, text) => done(keys, text, keys.length === ids.length ? "good" : "warn");
  return html`<${BatchDialog} title="Retry selected events" consequence=${`Process ${count(ids)} again, one after the other. An event that was applied is never applied twice.`}
    confirmText=${`Retry ${count(ids)}`} items=${itemsOf(ids)} send=${send} check=${check} done=${finish} />`;
}

/** Discard these events with the same reason. */
export function DiscardBatch({ ids, done }) {
  const [note, setNote, discardDraft] = useDraft("batch.discard");
  const send = async ({ key }) => {
    await post(`${path(key)}/discard`, { note: note.trim() });
    return "Discarded. It has left quarantine.";
  };
  const finish = (keys, text) => {
    discardDraft();
    done(keys, text, keys.length === ids.length ? "good" : "warn");
  };
  return html`<${BatchDialog} title="Discard selected events" consequence=${SEVERAL_DISCARDED}
    confirmText=${`Discard ${count(ids)}`} danger=${true} problem=${note.trim() ? "" : "Say why."} items=${itemsOf(ids)} send=${send} check=${({ key }) => checkDiscarded(key)} done=${finish}>
    <${TextField} id="note" label="Reason" required=${true} text=${note} write=${setNote} hint=${NOTE_HINT} />
  <//>`;
}
