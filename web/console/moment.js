// A look at a payment as it was: the notice above it, and the form that chooses the moment.
import { Time } from "./components.js";
import { html, useState } from "./preact.js";
import { navigate, routeTo } from "./route.js";

/** Above a payment as it was: which moment is shown, and the ways to other moments. */
export function MomentNotice({ details }) {
  const { moment: shown, payment } = details;
  if (!shown) return null;
  const { version, versions, recorded_at: recordedAt, complete } = shown;
  const linkTo = (to, text) => html`<a href=${routeTo(["payments", payment.payment_id], to)}>${text}</a>`;
  return html`<div class="note warn" role="status"><div>
    <p><strong>The payment as it was</strong> after record ${version} of ${versions}, <${Time} at=${recordedAt} seconds=${true} />. Texts, addresses and card numbers are not recorded.</p>
    ${!complete && html`<p>Some records are of the first release, which recorded fewer facts.</p>`}
    <p class="links">${version > 1 && linkTo({ version: version - 1 }, "Previous record")}${version < versions && linkTo({ version: version + 1 }, "Next record")}${linkTo({}, "Show the present")}</p>
  </div></div>`;
}

/** Chooses a time at which to look at a payment, in the reader's time zone. */
export function MomentForm({ payment }) {
  const [time, setTime] = useState("");
  const look = (event) => {
    event.preventDefault();
    if (time) navigate(["payments", payment.payment_id], { at: new Date(time).toISOString() });
  };
  return html`<form class="moment" onSubmit=${look}>
    <label for="moment">As it was at</label>
    <input id="moment" type="datetime-local" step="1" value=${time} onInput=${(event) => setTime(event.target.value)} />
    <button type="submit" class="quiet">Look</button></form>`;
}

/** Why a moment cannot be shown, with the way back to the present. */
export function NoSuchMoment({ id, query, text }) {
  return html`<h1 tabindex="-1">${query.at ? "The payment at another time" : `Version ${query.version} of the payment`}</h1><div class="state empty" role="alert"><p class="strong">${text}</p>
    <a href=${routeTo(["payments", id])}>Show the payment as it is now</a></div>`;
}
