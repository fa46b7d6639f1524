// Notes and tags of a payment or a user, in a panel of the page. Admins write them, support reads them.
import { explain, isUncertain, post, reportSessionExpired, useDraft } from "./api.js";
import { Button, Time, UserLink } from "./components.js";
import { html, useLayoutEffect, useRef, useState } from "./preact.js";
import { routeTo } from "./route.js";

const MAX_NOTE_LENGTH = 1000;
const MAX_TAG_LENGTH = 30;

/**
 * The panel. `topic` is `{ payment_id }` or `{ user_id }`, `notes` what the API answers about it, and `done()` loads the
 * page again.
 */
export function Notes({ topic, notes, staff, done }) {
  const [changed, setChanged] = useState(null);
  const [state, setState] = useState({});
  const busy = useRef(false);
  const heading = useRef(null);
  useLayoutEffect(() => setChanged(null), [notes]);
  const { tags, notes: list, full } = changed ?? notes;
  const send = async (route, body, field, message) => {
    if (busy.current) return false;
    busy.current = true;
    setState({ busy: field });
    try {
      const response = await post(`/admin/${route}?${new URLSearchParams(topic)}`, body);
      setChanged(response.notes);
      setState({ message });
      return true;
    } catch (error) {
      if (reportSessionExpired(error)) return false;
      const stored = isUncertain(error);
      setState({ field, error: stored ? `${explain(error)} The page shows what is stored.` : explain(error) });
      if (stored) done();
      return false;
    } finally {
      busy.current = false;
    }
  };
  const remove = async (route, body, field, message) => {
    if (await send(route, body, field, message)) heading.current.focus(); // the pressed button was removed
  };
  if (!staff.decides && !tags.length && !list.length) return null;
  return html`<section class="panel notes" aria-labelledby="notes"><h2 id="notes" tabindex="-1" ref=${heading}>Notes and tags</h2>
    <${Tags} tags=${tags} topic=${topic} state=${state} send=${send} remove=${remove} staff=${staff} />
    <ul class="plain">${list.map((note) => html`<${Note} key=${note.note_id} note=${note} topic=${topic} state=${state} remove=${remove} staff=${staff} />`)}</ul>
    ${staff.decides && !full && html`<${NoteForm} topic=${topic} state=${state} send=${send} />`}
    ${staff.decides && full && html`<p class="small">This student has the maximum number of notes. Delete one to write another.</p>`}
    <p class="visually-hidden" role="status">${state.message}</p>
    ${state.error && !FIELDS.includes(state.field) && html`<p class="error" role="alert">${state.error}</p>`}
  </section>`;
}

/** The fields that show an error of their own. */
const FIELDS = ["new-tag", "new-note"];

/** `{ invalid, description }` of a field, and its message. */
function problemOf(state, field) {
  const text = state.field === field ? state.error : "";
  const props = text ? { "aria-invalid": "true", "aria-describedby": `${field}-error` } : {};
  return [props, html`<p class="error" id=${`${field}-error`} role="alert">${text}</p>`];
}

function Tags({ tags, topic, state, send, remove, staff }) {
  const [text, write, discard] = useDraft(`tag.${Object.values(topic)[0]}`);
  const [props, problem] = problemOf(state, "new-tag");
  const add = async (event) => {
    event.preventDefault();
    if (!text.trim() || !(await send("tags", { add: [text] }, "new-tag", `Tag ${text.trim()} added.`))) return;
    discard();
    write("");
  };
  const drop = (tag) => remove("tags", { remove: [tag] }, `tag ${tag}`, `Tag ${tag} removed.`);
  return html`<div class="tags">
    ${tags.length > 0 && html`<ul aria-label="Tags">${tags.map((tag) => html`<li key=${tag} class="chip">${tag}${staff.decides && html`<button type="button" class="copy" aria-label=${`Remove tag ${tag}`} onClick=${() => drop(tag)}>×</button>`}</li>`)}</ul>`}
    ${
      staff.decides &&
      html`<form class="field" onSubmit=${add}><label for="new-tag">New tag</label>
        <input id="new-tag" maxlength=${MAX_TAG_LENGTH} value=${text} onInput=${(event) => write(event.target.value)} ...${props} />
        <button class="quiet" aria-busy=${state.busy === "new-tag" ? "true" : undefined}>Add tag</button>${problem}</form>`
    }
  </div>`;
}

function NoteForm({ topic, state, send }) {
  const [text, write, discard] = useDraft(`note.${Object.values(topic)[0]}`);
  const [props, problem] = problemOf(state, "new-note");
  const field = useRef(null);
  const save = async (event) => {
    event.preventDefault();
    if (!text.trim() || !(await send("notes", { text: text.trim() }, "new-note", "Note saved."))) return;
    discard();
    write("");
    field.current.focus();
  };
  return html`<form onSubmit=${save}>
    <label for="new-note">New note</label>
    <textarea id="new-note" ref=${field} rows="2" maxlength=${MAX_NOTE_LENGTH} value=${text} onInput=${(event) => write(event.target.value)} ...${props}></textarea>
    ${problem}
    <p class="small">Only staff see notes here, but a student who downloads their data gets them, without your name.</p>
    <button class="quiet" aria-busy=${state.busy === "new-note" ? "true" : undefined}>Save note</button>
  </form>`;
}

/** A note. One on a payment is deleted on the payment's page. */
function Note({ note, topic, state, remove, staff }) {
  const { note_id: id, payment_id: payment, at, by, text } = note;
  const isElsewhere = payment && !topic.payment_id;
  const drop = () => remove("notes/delete", { note_id: id }, id, "Note deleted.");
  return html`<li>
    <p class="by"><${Time} at=${at} /> by ${by === staff.sub ? "you" : html`<${UserLink} id=${by} />`}
      ${isElsewhere && html` on <a href=${routeTo(["payments", payment])}>a payment</a>`}
      ${staff.decides && !isElsewhere && html`<${Button} class="quiet" busy=${state.busy === id} aria-label=${`Delete the note “${text.slice(0, 40)}”`} onClick=${drop}>Delete<//>`}</p>
    <p class="text" dir="auto">${text}</p>
  </li>`;
}
