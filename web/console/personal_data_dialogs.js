// The dialogs with which staff download everything that is stored about a person, and correct their address.
import { newCopy, readCopy, saveData } from "../shared/personal_data.js";
import { get, post } from "./api.js";
import { ConfirmDialog } from "./dialog.js";
import { html, useRef, useState } from "./preact.js";

const MAX_REQUESTS = 20; // each corrects up to 100 payments

/** Download everything that is stored about the user. */
export function ExportDialog({ id, done }) {
  const copy = useRef(newCopy());
  const submit = async () => {
    await readCopy(copy.current, (cursor) => get("/admin/users/export", { user_id: id, cursor }));
    const { data, files } = copy.current;
    if (data) saveData(data, "personal-data");
    for (const { url } of files) window.open(url, "_blank", "noopener");
    return files.length ? `Downloaded, in ${files.length + 1} files.` : "Downloaded.";
  };
  const consequence = "You get a file with everything that we store about this person. The download is recorded in your audit trail.";
  return html`<${ConfirmDialog} title="Download all data" consequence=${consequence} confirmText="Download" submit=${submit} done=${done}>
    <p>Give the file only to this person, and delete it from your computer afterwards.</p>
  <//>`;
}

/** Correct the email address that is stored of a user. `current` is the one of their newest payment. */
export function AddressDialog({ id, current, done }) {
  const [email, setEmail] = useState("");
  const submit = async () => {
    const path = `/admin/users/email?user_id=${encodeURIComponent(id)}`;
    let count = 0;
    for (let number = 0; number < MAX_REQUESTS; number += 1) {
      const { payments, complete } = await post(path, { email: email.trim() });
      count += payments;
      if (complete) return `Corrected, in ${count} ${count === 1 ? "payment" : "payments"}.`;
    }
    return `Corrected in ${count} payments. There are more: correct the address again.`;
  };
  const check = async () => ({ text: "It’s safe to try again: a repeated correction continues where it stopped." });
  const consequence =
    "We store the new address at Stripe and in all payments of this user, and send emails there. The address for the sign-in doesn’t change, and the next purchase stores that one.";
  return html`<${ConfirmDialog} title="Correct email address" consequence=${consequence} confirmText="Correct" ready=${email.includes("@")} submit=${submit} check=${check} done=${done}>
    <p class="small">${current ? `Stored now: ${current}` : "No address is stored now."}</p>
    <label for="email">New email address</label>
    <input id="email" type="email" required maxlength="254" autocomplete="off" value=${email} onInput=${(event) => setEmail(event.target.value)} aria-describedby="email-hint" />
    <p class="small" id="email-hint">Make sure that it belongs to this person. Emails about their payments go there.</p>
  <//>`;
}
