// The evidence for a dispute: assembled from our records, kept as a draft, and sent to the bank once.
import { sentenceCase } from "../shared/format.js";
import { explain, get, isUncertain, post, reportSessionExpired, useDraft, useResponse } from "./api.js";
import { Button, Time, UserLink, WhenLoaded } from "./components.js";
import { ConfirmDialog } from "./dialog.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "./preact.js";
import { openDialog } from "./route.js";

const MAX_FIELD_LENGTH = 20_000;
const SHORT = new Set(["customer_name", "customer_email_address", "service_date", "duplicate_charge_id"]);

const path = (payment, dispute) =>
  `/admin/payments/${encodeURIComponent(payment)}/disputes/${encodeURIComponent(dispute)}/evidence`;

/** A section per dispute. Its texts are loaded when it is opened; those of a decided one can only be read. */
export const Evidence = ({ details, staff }) =>
  details.facts.disputes.map(
    ({ dispute_id: id, over }) => html`<${Section} key=${id} payment=${details.payment.payment_id} dispute=${id} canWrite=${staff.decides && !over} over=${over} />`,
  );

function Section({ payment, dispute, canWrite, over }) {
  const [open, setOpen] = useState(false);
  const heading = `evidence-${dispute}`;
  const title = useRef(null);
  useLayoutEffect(() => {
    if (open) title.current.focus();
  }, [open]); // the pressed button was removed
  return html`<section class="panel evidence" aria-labelledby=${heading}><h2 id=${heading} tabindex="-1" ref=${title}>Evidence for dispute ${dispute}</h2>
    ${open ? html`<${LoadedEvidence} payment=${payment} dispute=${dispute} canWrite=${canWrite} />` : html`<p>${over ? "The bank has decided." : "The bank decides on the evidence that it receives. Evidence can be sent only once."}</p>
      <button type="button" class="quiet" onClick=${() => setOpen(true)}>${canWrite ? "Prepare evidence" : "Show evidence"}</button>`}
  </section>`;
}

function LoadedEvidence({ payment, dispute, canWrite }) {
  const state = useResponse(() => get(path(payment, dispute)), [payment, dispute]);
  const reload = useRef(null);
  reload.current = state.reload;
  useEffect(() => {
    const load = () => reload.current(); // the dialog has sent it
    window.addEventListener("payment-changed", load);
    return () => window.removeEventListener("payment-changed", load);
  }, []);
  return html`<${WhenLoaded} of=${state}>${(evidence) =>
    evidence.state === "draft" && canWrite
      ? html`<${Form} payment=${payment} dispute=${dispute} loaded=${evidence} />`
      : html`<${Texts} evidence=${evidence} />${evidence.state === "submitting" && canWrite && html`<p><button type="button" onClick=${() => openDialog("send_evidence", { on: dispute })}>Send again…</button></p>`}`}<//>`;
}

/** The state of the evidence in a sentence. */
function State({ evidence: { state, saved_at: at, saved_by: by } }) {
  if (!at) return html`<p>These texts come from our records. None are saved or sent.</p>`;
  const what = { draft: "Draft saved", submitting: "We don’t know yet whether Stripe received it. Draft saved", sent: "Sent to the bank. Draft saved" }[state];
  return html`<p>${what} <${Time} at=${at} /> by <${UserLink} id=${by} />.</p>`;
}

const Texts = ({ evidence }) => html`<${State} evidence=${evidence} />
  <dl>${Object.entries(evidence.fields).map(([name, text]) => html`<div key=${name}><dt>${sentenceCase(name)}</dt><dd><blockquote dir="auto">${text}</blockquote></dd></div>`)}</dl>`;

/** The texts that were typed before the page was left, unless another draft was saved since. */
function typedFields(typed, { saved_at: savedAt }) {
  const kept = typed && JSON.parse(typed);
  return kept && kept.saved_at === savedAt ? kept.fields : undefined;
}

function Form({ payment, dispute, loaded }) {
  const [evidence, setEvidence] = useState(loaded);
  const [typed, keepTyped, discardTyped] = useDraft(`evidence.${dispute}`);
  const [fields, setFields] = useState(() => typedFields(typed, loaded) ?? loaded.fields);
  const [state, setState] = useState({});
  const busy = useRef(false);
  const count = Object.values(fields).reduce((sum, text) => sum + text.length, 0);
  const isChanged = JSON.stringify(fields) !== JSON.stringify(evidence.fields);
  const isSaved = evidence.saved_at && !isChanged;
  const write = (name, text) => {
    const next = { ...fields, [name]: text };
    setFields(next);
    keepTyped(JSON.stringify({ saved_at: evidence.saved_at, fields: next }));
  };
  const save = async (event) => {
    event.preventDefault();
    if (busy.current) return;
    busy.current = true;
    setState({ busy: true });
    try {
      const saved = await post(path(payment, dispute), { fields, saved_at: evidence.saved_at });
      discardTyped();
      setEvidence(saved);
      setFields(saved.fields);
      setState({ message: "Draft saved." });
    } catch (error) {
      if (!reportSessionExpired(error)) setState({ error: isUncertain(error) ? `${explain(error)} Reload to see whether it was saved.` : explain(error), field: error.field });
    } finally {
      busy.current = false;
    }
  };
  return html`<form onSubmit=${save} aria-busy=${state.busy ? "true" : "false"}>
    <${State} evidence=${evidence} />
    <p class="small">Correct and complete the texts. The student’s bank reads them. Leave fields that don’t apply empty.</p>
    ${evidence.names.map((name) => html`<${Field} key=${name} name=${name} text=${fields[name] ?? ""} problem=${state.field === name ? state.error : ""} write=${(text) => write(name, text)} />`)}
    <p role="status">${count.toLocaleString("en")} of ${evidence.max_characters.toLocaleString("en")} characters. ${state.message}</p>
    ${state.error && !evidence.names.includes(state.field) && html`<p class="error" role="alert">${state.error}</p>`}
    <div class="actions">
      <button class="quiet" aria-busy=${state.busy ? "true" : undefined}>Save draft</button>
      <${Button} disabled=${!isSaved} onClick=${() => openDialog("send_evidence", { on: dispute })}>Send to the bank…<//>
      ${!isSaved && html`<span class="small">Save the draft before you send it.</span>`}
    </div>
  </form>`;
}

function Field({ name, text, problem, write }) {
  const props = { id: name, maxlength: MAX_FIELD_LENGTH, value: text, onInput: (event) => write(event.target.value) };
  if (problem) Object.assign(props, { "aria-invalid": "true", "aria-describedby": `${name}-error` });
  return html`<label for=${name}>${sentenceCase(name)}</label>
    ${SHORT.has(name) ? html`<input ...${props} />` : html`<textarea rows=${text ? 6 : 2} ...${props}></textarea>`}
    ${problem && html`<p class="error" id=${`${name}-error`} role="alert">${problem}</p>`}`;
}

/** The last look before the evidence goes to the bank. It shows what is sent, as it is saved. */
export function EvidenceDialog({ details, dispute, done }) {
  const { payment_id: payment } = details.payment;
  const state = useResponse(() => get(path(payment, dispute)), [payment, dispute]);
  const [hasRead, setHasRead] = useState(false);
  const evidence = state.response;
  const submit = async () => {
    await post(`${path(payment, dispute)}/send`, { saved_at: evidence.saved_at });
    return "The evidence was sent to the bank.";
  };
  const check = async () => {
    const { state: now } = await get(path(payment, dispute));
    return now === "sent" ? { text: "The evidence was sent.", final: true } : { text: "We don’t know yet whether it was sent. It’s safe to send it again: the bank gets it only once." };
  };
  return html`<${ConfirmDialog} title="Send the evidence to the bank?" confirmText="Send to the bank" danger=${true}
    consequence="The bank gets these texts now. You can’t add or take back anything later." ready=${Boolean(evidence?.saved_at) && hasRead}
    missing="Read the texts, then tick the checkbox." submit=${submit} check=${check} done=${done}>
    <div class="evidence"><${WhenLoaded} of=${state}>${(loaded) => html`<${Texts} evidence=${loaded} />`}<//></div>
    <label class="check"><input type="checkbox" checked=${hasRead} aria-invalid=${hasRead ? undefined : "true"} onChange=${(event) => setHasRead(event.target.checked)} /> I have read the texts, and they are true.</label>
  <//>`;
}
