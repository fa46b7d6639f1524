// The switches of the school: the banner in every view while one is off, their views, and the dialog that turns one.
import { get, post, useDraft, useResponse } from "./api.js";
import { Id, Time, usePages, WhenLoaded } from "./components.js";
import { ConfirmDialog, TextField } from "./dialog.js";
import { html, useEffect, useState } from "./preact.js";
import { openDialog, routeTo } from "./route.js";
import { AuditStatus } from "./timeline.js";

const CHANGED = "switch-changed";
const SWITCHES = {
  selling: {
    title: "Selling",
    about: "Stop every new purchase at once, for example if a price is wrong. Refunds and everything else stay possible.",
    state: "Students can buy",
    off: "No, selling is stopped",
    banner: "Selling is stopped",
    effect: "Students can’t buy anything.",
    hasMessage: true,
    stop: {
      title: "Stop selling",
      consequence:
        "From now on no student can start a purchase, or continue one after reloading the page. A student who has the payment form open can still pay. No money moves, and no access changes.",
      result: "Stopped. No student can start a purchase.",
      checked: "selling is stopped",
    },
    start: {
      title: "Sell again",
      consequence: "Students can buy every track again, at the prices shown to them.",
      result: "Students can buy again.",
      checked: "students can buy again",
    },
  },
  collecting: {
    title: "Charges of plans",
    about: "Stop at once what payment plans announce and charge without the student. Students can still pay, and refunds are made.",
    state: "Plans are charged",
    off: "No, the charges are stopped",
    banner: "The charges of payment plans are stopped",
    effect: "No charge is announced or made without the student.",
    hasMessage: false,
    stop: {
      title: "Stop the charges",
      consequence:
        "From now on no charge of a payment plan is announced or made without the student. Students can still pay installments, and keep the access that they have. Refunds are made as before.",
      result: "Stopped. No plan is charged without the student.",
      checked: "the charges are stopped",
    },
    start: {
      title: "Start the charges again",
      consequence: "Charges that are due are made again. Those that were missed for some days are announced first, for a later day. No access changes.",
      result: "Plans are charged again.",
      checked: "plans are charged again",
    },
  },
};
const load = (name) => get(`/admin/${name}`);

/** A banner above every view for each switch that is off. */
export const SwitchBanners = () => Object.keys(SWITCHES).map((name) => html`<${Banner} key=${name} name=${name} />`);

function Banner({ name }) {
  const [stopped, setStopped] = useState(undefined);
  useEffect(() => {
    const check = () =>
      load(name).then(
        (state) => setStopped(state[name] ? undefined : state),
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
  const { title, banner, effect } = SWITCHES[name];
  return (
    stopped &&
    html`<p class="note bad" role="alert" id=${`${name}-stopped`}><strong>${banner}</strong> since <${Time} at=${stopped.decision.at} />. ${effect} <a href=${routeTo([name])}>Open ${title}</a></p>`
  );
}

export const Selling = (props) => html`<${SwitchView} name="selling" ...${props} />`;
export const Collecting = (props) => html`<${SwitchView} name="collecting" ...${props} />`;

function SwitchView({ name, query, staff }) {
  const [message, setMessage] = useState("");
  const state = useResponse(() => load(name), [name]);
  const { title, about } = SWITCHES[name];
  const done = (text) => {
    if (text) setMessage(text);
    state.reload();
    window.dispatchEvent(new Event(CHANGED));
  };
  return html`<h1 tabindex="-1">${title}</h1>
    <p class="small">${about}</p>
    ${message && html`<p class="note good" role="status">${message}</p>`}
    <${WhenLoaded} of=${state}>${(current) => html`<${Switch} name=${name} current=${current} query=${query} staff=${staff} done=${done} />`}<//>`;
}

function Switch({ name, current, query, staff, done }) {
  const { [name]: isOn, message, decision, audit, chain } = current;
  const words = SWITCHES[name];
  const next = isOn ? "stop" : "start";
  return html`<section class="panel"><dl>
      <div><dt>${words.state}</dt><dd>${isOn ? html`<span class="chip good">Yes</span>` : html`<span class="chip bad">${words.off}</span>`}</dd></div>
      ${message && html`<div><dt>Message to students</dt><dd>${message}</dd></div>`}
      ${decision && html`<div><dt>Last decision</dt><dd><${Time} at=${decision.at} /> by <${Id} id=${decision.actor} />: ${decision.note}</dd></div>`}
    </dl>
    ${staff.decides && html`<p><button type="button" class=${isOn ? "danger" : ""} onClick=${() => openDialog(next)}>${words[next].title}…</button></p>`}</section>
    ${audit.length > 0 && html`<${History} audit=${audit} chain=${chain} />`}
    ${staff.decides && ["stop", "start"].includes(query.do) && html`<${SwitchDialog} key=${query.do} name=${name} action=${query.do} current=${current} ready=${query.do === next} done=${done} />`}`;
}

/** Every decision, newest first. */
function History({ audit, chain }) {
  const [shown, more] = usePages([...audit].reverse());
  return html`<section class="panel"><h2>History</h2><p><${AuditStatus} chain=${chain} count=${audit.length} /></p>
    <ul class="plain">${shown.map((record) => html`<li key=${record.seq}><${Time} at=${record.at} /> <code>${record.type}</code> <${Id} id=${record.actor} /></li>`)}</ul>${more}</section>`;
}

/** Turn a switch. It is turned on again only from the state that the dialog was opened on. */
function SwitchDialog({ name, action, current, ready, done }) {
  const [version] = useState(current.version);
  const [note, setNote, discardNote] = useDraft(`${name}.${action}.note`);
  const [text, setText, discardText] = useDraft(`${name}.${action}.message`);
  const { hasMessage, [action]: words } = SWITCHES[name];
  const stops = action === "stop";
  const discard = () => {
    discardNote();
    discardText();
  };
  const submit = async () => {
    const more = stops ? (text.trim() ? { message: text.trim() } : {}) : { expected_version: version };
    await post(`/admin/${name}`, { [name]: !stops, note: note.trim(), ...more });
    discard();
    return words.result;
  };
  const check = async () => {
    const { [name]: isOn } = await load(name);
    if (isOn === stops) return { text: "We checked: nothing has changed. It’s safe to try again." };
    discard();
    return { text: `We checked: ${words.checked}.`, final: true };
  };
  return html`<${ConfirmDialog} title=${words.title} consequence=${words.consequence} confirmText=${words.title} danger=${stops} ready=${ready && note.trim() !== ""} submit=${submit} check=${check} done=${done}>
    <${TextField} id="note" label="Reason" required=${true} text=${note} write=${setNote} hint="Internal note; only staff can see this." />
    ${stops && hasMessage && html`<${TextField} id="message" label="Message to students" text=${text} write=${setText} hint="Shown instead of “The school has stopped selling for the moment.”" />`}
  <//>`;
}
