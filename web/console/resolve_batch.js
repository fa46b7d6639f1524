// Marking several attention reasons as resolved at once.
import { get, post, useDraft } from "./api.js";
import { detailText } from "./attention_reasons.js";
import { BatchDialog } from "./batch_dialog.js";
import { TextField } from "./dialog.js";
import { html } from "./preact.js";

const path = ({ payment }) => `/admin/payments/${encodeURIComponent(payment.payment_id)}`;

/**
 * Mark the reasons of these rows, each `{ key, payment, reason }`, as resolved, with one note. Each is marked in the form
 * that the list shows: a reason that changed since is refused, and marking one twice changes nothing.
 */
export function ResolveBatch({ rows, nameOf, done }) {
  const [note, setNote, discard] = useDraft("batch.resolve");
  const items = rows.map((row) => ({ key: row.key, row, label: nameOf(row), detail: detailText(row.reason) }));
  const send = async ({ row }) => {
    const { name, fingerprint } = row.reason;
    await post(`${path(row)}/attention`, { name, fingerprint, note: note.trim() });
    return "Marked as resolved.";
  };
  const check = async ({ row }) => {
    const { payment } = await get(path(row));
    if (payment.attention.some(({ name }) => name === row.reason.name))
      return { text: "We checked: it is not marked as resolved. It’s safe to try again." };
    return { text: "We checked: it is marked as resolved.", final: true };
  };
  const finish = (keys, text) => {
    discard();
    done(keys, text, keys.length === rows.length ? "good" : "warn");
  };
  const count = rows.length === 1 ? "1 item" : `${rows.length} items`;
  return html`<${BatchDialog} title="Mark selected as resolved" confirmText=${`Mark ${count} as resolved`}
    consequence=${`This removes ${count} from Attention. No money moves and access doesn’t change. An item comes back if its situation changes.`}
    problem=${note.trim() ? "" : "Say what you did."} items=${items} send=${send} check=${check} done=${finish}>
    <${TextField} id="note" label="What did you do?" required=${true} text=${note} write=${setNote} hint="It is recorded for each of them." />
  <//>`;
}
