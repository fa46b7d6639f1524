// The activity of staff: what one member did on a day. Admins choose the member, everybody else sees their own.
import { get, useResponse } from "./api.js";
import { Empty, None, Pager, Time, UserLink, WhenLoaded } from "./components.js";
import { html } from "./preact.js";
import { EMAIL_RECORD, recordTitle } from "./record_words.js";
import { changeQuery, routeTo } from "./route.js";

const PAGE_SIZE = 50;

/** The titles of the actions of staff, by the type of record. Other types have the title of the record. */
const TITLES = {
  "attention.acknowledged": "Marked a reason for attention as resolved",
  "data.read": "Read personal data",
  "decision.accept_amount": "Accepted the amount",
  "decision.restore": "Restored access",
  "decision.revoke": "Revoked access",
  "email.corrected": "Corrected an email address",
  "erasure.requested": "Requested an erasure",
  "event.discarded": "Discarded a quarantined event",
  "event.replayed": "Retried a quarantined event",
  "evidence.refused": "Sent evidence for a dispute, which Stripe refused",
  "evidence.saved": "Saved a draft of evidence for a dispute",
  "evidence.sent": "Sent evidence for a dispute",
  "evidence.submitting": "Began to send evidence for a dispute",
  "export.ordered": "Exported data",
  "legal_hold.lift": "Lifted a legal hold",
  "legal_hold.set": "Set a legal hold",
  "note.deleted": "Deleted a note",
  "note.written": "Wrote a note",
  "purchases.allow": "Allowed purchases",
  "purchases.block": "Blocked purchases",
  "refund.approved": "Approved a refund request",
  "refund.created_by_staff": "Refunded a payment",
  "refund.declined": "Declined a refund request",
  "refund.made": "Created a refund at Stripe",
  "refund.tried_again": "Retried a refund",
  "collecting.started": "Started the charges of plans",
  "collecting.stopped": "Stopped the charges of plans",
  "selling.started": "Started selling",
  "selling.stopped": "Stopped selling",
  "tags.changed": "Changed tags",
};

const title = (type) =>
  type.startsWith(EMAIL_RECORD)
    ? `Sent an email: ${type.slice(EMAIL_RECORD.length).replaceAll("_", " ")}`
    : (TITLES[type] ?? recordTitle({ type, transition: {} }));

/** Today in UTC, as the API counts days. */
const today = () => new Date().toISOString().slice(0, 10);

export function Activity({ query, staff }) {
  const day = query.day || today();
  const member = query.staff || staff.sub;
  const load = () => get("/admin/activity", { staff: member, day, limit: PAGE_SIZE, cursor: query.cursor });
  const state = useResponse(load, [member, day, query.cursor]);
  const empty = ({ actions }) => !actions.length && html`<${Empty} title="No activity on this day" />`;
  return html`<h1 tabindex="-1">Activity</h1>
    <div class="choices">
      ${staff.decides && html`<${Member} member=${member} own=${staff.sub} />`}
      <div class="field"><label for="activity-day">Day (UTC)</label>
        <input id="activity-day" type="date" value=${day} max=${today()} onChange=${({ target }) => target.value && changeQuery({ day: target.value, cursor: "" })} /></div>
    </div>
    <p class="small">${member === staff.sub ? "Your recorded actions" : "The recorded actions of this member of staff"}. Actions appear within seconds and are kept for 400 days.</p>
    <${WhenLoaded} of=${state} empty=${empty}>
      ${({ actions, next_cursor: next }) => html`<${Actions} actions=${actions} />
        <${Pager} path=${["activity"]} query=${query} next=${next} count=${actions.length} />`}
    <//>`;
}

/** The choice of a member of staff. The one who is shown is always among them. */
function Member({ member, own }) {
  const state = useResponse(() => get("/admin/activity/staff"), []);
  const others = (state.response?.staff ?? []).map((one) => one.staff);
  const ids = [...new Set([own, member, ...others])];
  return html`<div class="field"><label for="activity-staff">Member of staff</label>
    <select id="activity-staff" value=${member} onChange=${({ target }) => changeQuery({ staff: target.value, cursor: "" })}>
      ${ids.map((id) => html`<option key=${id} value=${id} selected=${id === member}>${id === own ? `You (${id})` : id}</option>`)}
    </select></div>`;
}

function Actions({ actions }) {
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Actions"><table class="activity">
    <caption class="visually-hidden">Actions, newest first</caption>
    <thead><tr><th scope="col">Time</th><th scope="col">Action</th><th scope="col">Payment</th><th scope="col">Student</th></tr></thead>
    <tbody>${actions.map((action, number) => html`<${Row} key=${number} action=${action} />`)}</tbody></table></div>`;
}

function Row({ action }) {
  const { at, type, payment_id: payment, user_id: user, track, people } = action;
  const count = people && html` <span class="faint">of ${people} ${people === 1 ? "person" : "people"}</span>`;
  return html`<tr>
    <td><${Time} at=${at} seconds=${true} /></td>
    <td><span title=${type}>${title(type)}</span>${count}${track && html` <span class="faint">${track}</span>`}</td>
    <td>${payment ? html`<a href=${routeTo(["payments", payment])}><code>${payment}</code></a>` : html`<${None} />`}</td>
    <td>${user ? html`<${UserLink} id=${user} />` : html`<${None} />`}</td>
  </tr>`;
}
