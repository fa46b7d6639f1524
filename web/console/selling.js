// The switch that stops new purchases: its banner in every view, its own view, and the dialog that turns it.
import { get, post, useDraft, useResponse } from "./api.js";
import { Id, Time, usePages, WhenLoaded } from "./components.js";
import { ConfirmDialog, TextField } from "./dialog.js";
import { html, useEffect, useState } from "./preact.js";
import { openDialog, routeTo } from "./route.js";
import { AuditStatus } from "./timeline.js";

const CHANGED = "selling-changed";
const load = () => get("/admin/selling");

/** A banner above every view while nothing is sold. */
export function SellingBanner() {
  const [stopped, setStopped] = useState(undefined);
  useEffect(() => {
    const check = () =>
      load().then(
        (state) => setStopped(state.selling ? undefined : state),
        () => {}, // the views show what cannot be loaded; a banner that is there stays
      );
    check();
    window.addEventListener(CHANGED, check);
    window.addEventListener("hashchange", check);
    return () => {
      window.removeEventListener(CHANGED, check);
      window.removeEventListener("hashchange", check);
    };
  }, []);
  return (
    stopped &&
    html`<p class="note bad" role="alert" id="selling-stopped"><strong>Selling is stopped</strong> since <${Time} at=${stopped.decision.at} />. Students can’t buy anything. <a href=${routeTo(["selling"])}>Open Selling</a></p>`
  );
}

export function Selling({ query, staff }) {
  const [message, setMessage] = useState("");
  const state = useResponse(load, []);
  const done = (text) => {
    if (text) setMessage(text);
    state.reload();
    window.dispatchEvent(new Event(CHANGED));
  };
  return html`<h1 tabindex="-1">Selling</h1>
    <p class="small">Stop every new purchase at once, for example if a price is wrong. Refunds and everything else stay possible.</p>
    ${message && html`<p class="note good" role="status">${message}</p>`}
    <${WhenLoaded} of=${state}>${(current) => html`<${Switch} current=${current} query=${query} staff=${staff} done=${done} />`}<//>`;
}

const WORDING = {
  stop: {
    title: "Stop selling",
    consequence:
      "From now on no student can start a purchase, or continue one after reloading the page. A student who has the payment form open can still pay. No money moves, and no access changes.",
    result: "Stopped. No student can start a purchase.",
  },
  start: {
    title: "Sell again",
    consequence: "Students can buy every track again, at the prices shown to them.",
    result: "Students can buy again.",
  },
};

function Switch({ current, query, staff, done }) {
  const { selling, message, decision, audit, chain } = current;
  const next = selling ? "stop" : "start";
  return html`<section class="panel"><dl>
      <div><dt>Students can buy</dt><dd>${selling ? html`<span class="chip good">Yes</span>` : html`<span class="chip bad">No, selling is stopped</span>`}</dd></div>
      ${message && html`<div><dt>Message to students</dt><dd>${message}</dd></div>`}
      ${decision && html`<div><dt>Last decision</dt><dd><${Time} at=${decision.at} /> by <${Id} id=${decision.actor} />: ${decision.note}</dd></div>`}
    </dl>
    ${staff.decides && html`<p><button type="button" class=${selling ? "danger" : ""} onClick=${() => openDialog(next)}>${WORDING[next].title}…</button></p>`}</section>
    ${audit.length > 0 && html`<${History} audit=${audit} chain=${chain} />`}
    ${staff.decides && Object.hasOwn(WORDING, query.do ?? "") && html`<${SellingDialog} key=${query.do} action=${query.do} current=${current} ready=${query.do === next} done=${done} />`}`;
}

/** Every decision, newest first. */
function History({ audit, chain }) {
  const [shown, more] = usePages([...audit].reverse());
  return html`<section class="panel"><h2>History</h2><p><${AuditStatus} chain=${chain} count=${audit.length} /></p>
    <ul class="plain">${shown.map((record) => html`<li key=${record.seq}><${Time} at=${record.at} /> <code>${record.type}</code> <${Id} id=${record.actor} /></li>`)}</ul>${more}</section>`;
}

/** Stop selling, or sell again. Selling starts again only from the state that the dialog was opened on. */
function SellingDialog({ action, current, ready, done }) {
  const [version] = useState(current.version);
  const [note, setNote, discardNote] = useDraft(`selling.${action}.note`);
  const [text, setText, discardText] = useDraft(`selling.${action}.message`);
  const { title, consequence, result } = WORDING[action];
  const stops = action === "stop";
  const discard = () => {
    discardNote();
    discardText();
  };
  const submit = async () => {
    const more = stops ? (text.trim() ? { message: text.trim() } : {}) : { expected_version: version };
    await post("/admin/selling", { selling: !stops, note: note.trim(), ...more });
    discard();
    return result;
  };
  const check = async () => {
    const { selling } = await load();
    if (selling === stops) return { text: "We checked: nothing has changed. It’s safe to try again." };
    discard();
    return { text: `We checked: ${stops ? "selling is stopped" : "students can buy again"}.`, final: true };
  };
  return html`<${ConfirmDialog} title=${title} consequence=${consequence} confirmText=${title} danger=${stops} ready=${ready && note.trim() !== ""} submit=${submit} check=${check} done=${done}>
    <${TextField} id="note" label="Reason" required=${true} text=${note} write=${setNote} hint="Internal note; only staff can see this." />
    ${stops && html`<${TextField} id="message" label="Message to students" text=${text} write=${setText} hint="Shown instead of “The school has stopped selling for the moment.”" />`}
  <//>`;
}
