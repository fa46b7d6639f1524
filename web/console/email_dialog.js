// Sending an email to the student again.
import { sentenceCase } from "../shared/format.js";
import { get, post } from "./api.js";
import { ConfirmDialog } from "./dialog.js";
import { html, useState } from "./preact.js";
import { EMAIL_RECORD } from "./record_words.js";

const UNDONE = "It’s safe to try again.";
const path = (payment) => `/admin/payments/${encodeURIComponent(payment.payment_id)}`;

/** The emails that the API would send now. */
export const allowedEmails = ({ actions }) =>
  actions.filter(({ action }) => action === "send_email").map(({ kind }) => kind);

const outcome = (kind) =>
  `Recorded. The email “${sentenceCase(kind)}” follows within seconds. The student’s page shows if emails don’t reach them.`;

/** Choose one of the emails that fit the payment, and send it. `kinds` are those that fit now. */
export function EmailDialog({ details, kinds, done }) {
  const { payment, audit } = details;
  const [chosen, choose] = useState(kinds[0]);
  const [recorded] = useState(audit.length);
  const submit = async () => {
    await post(`${path(payment)}/emails`, { kind: chosen });
    return outcome(chosen);
  };
  const check = async () => {
    const { audit: current } = await get(path(payment));
    if (!current.slice(recorded).some(({ type }) => type === `${EMAIL_RECORD}${chosen}`))
      return { text: `We checked: no email was requested. ${UNDONE}` };
    return { text: `We checked: ${outcome(chosen)}`, final: true };
  };
  const consequence = kinds.includes(chosen)
    ? `Send “${sentenceCase(chosen)}” to the student’s newest verified address. It says what is true of the payment now. No money moves and access doesn’t change.`
    : "This email no longer fits the payment, or ten were sent within 24 hours. Cancel, or choose another one.";
  return html`<${ConfirmDialog} title="Send an email again" consequence=${consequence} confirmText="Send" ready=${kinds.includes(chosen)} submit=${submit} check=${check} done=${done}>
    <label for="kind">Email</label>
    <select id="kind" autofocus value=${chosen} onChange=${(event) => choose(event.target.value)} aria-describedby="kind-hint">
      ${kinds.map((kind) => html`<option key=${kind} value=${kind}>${sentenceCase(kind)}</option>`)}
    </select>
    <p class="small" id="kind-hint">Only emails that fit the payment as it is now, at most ten within 24 hours. The timeline shows those that were sent.</p>
  <//>`;
}
