// Taking the same decision about several payment plans at once.
import { moneyWithCode } from "../shared/format.js";
import { explain, get, post, useDraft } from "./api.js";
import { BatchDialog, totals, useDetails } from "./batch_dialog.js";
import { TextField } from "./dialog.js";
import { decisionOutcome, decisionResult, decisionWords } from "./plan_dialogs.js";
import { html } from "./preact.js";
import { planStatus } from "./status.js";

const path = ({ plan_id: id }) => `/admin/plans/${encodeURIComponent(id)}`;

/** The decisions that need nothing but a reason, as `[key, name]`. A key is a decision, or one with its `refund`. */
export const BATCH_DECISIONS = [
  ["pause", "Pause"],
  ["resume", "Resume"],
  ["continue", "Continue after the refund"],
  ["forgive", "Forgive the rest"],
  ["close none", "Close, keep what was paid"],
  ["close all", "Close, refund everything"],
  ["revoke", "Revoke access"],
  ["restore", "Restore access"],
];
const BATCH_NAMES = Object.fromEntries(BATCH_DECISIONS);
const DANGEROUS = ["close none", "close all", "revoke"];

/** The decision of this key that the API accepts for a plan now, with its outcome. */
const actionOf = (details, key) => {
  const [decision, refund = null] = key.split(" ");
  return details.actions.find((one) => one.decision === decision && one.seq === null && one.refund === refund);
};

/**
 * Decide about these plans of the list, one after the other, each in the version that was read when the dialog opened.
 * If another member of staff or an event was faster, that plan is refused and the others continue. `nameOf(plan)` names it.
 */
export function PlanBatch({ plans, choice, nameOf, done }) {
  const { details, error } = useDetails(plans, ({ plan_id: id }) => id, path);
  const [note, setNote, discard] = useDraft(`batch.plans.${choice}`);
  const loaded = plans.filter(({ plan_id: id }) => details[id]);
  const items = loaded.flatMap(({ plan_id: id }) => itemOf(details[id], choice, nameOf));
  const isLoaded = loaded.length === plans.length;
  const [decision, refund] = choice.split(" ");
  const send = async ({ opened, action }) => {
    const body = { decision, version: opened.plan.version, note: note.trim(), ...(refund && { refund }) };
    const { plan } = await post(`${path(opened.plan)}/decisions`, body);
    return `${decisionResult(action)} The plan is “${planStatus(plan.status)[0]}”.`;
  };
  const check = async ({ opened }) => {
    const { facts } = await get(path(opened.plan));
    const earlier = opened.facts.decisions.map(({ id }) => id);
    const isOwn = (one) => one.decision === decision && one.note === note.trim() && !earlier.includes(one.id);
    if (!facts.decisions.some(isOwn)) return { text: "We checked: it was not recorded. It’s safe to try again." };
    return { text: "We checked: the decision is recorded.", final: true };
  };
  const finish = (keys, text) => {
    discard();
    done(keys, text);
  };
  const back = totals(items.map(({ action, opened }) => ({ amount: action.after.refund_amount, currency: opened.plan.currency })));
  const skipped = plans.length - items.length;
  const left = isLoaded && skipped ? ` ${skipped} of the selected plans can’t be decided like this, so nothing changes for ${skipped === 1 ? "it" : "them"}.` : "";
  const money = refund === "all" && items.length ? ` ${back} goes back in total.` : "";
  const reading = error ? explain(error) : `Loading the plans: ${loaded.length} of ${plans.length}. Try again in a moment.`;
  const missing = items.length === 0 ? "None of the selected plans can be decided like this." : note.trim() ? "" : "Give a reason.";
  const count = items.length === 1 ? "1 plan" : `${items.length} plans`;
  return html`<${BatchDialog} title=${`${BATCH_NAMES[choice]}: selected plans`} confirmText=${`${BATCH_NAMES[choice]} (${count})`} danger=${DANGEROUS.includes(choice)}
    consequence=${`For each plan: ${decisionWords({ decision })}${money}${left}`} problem=${isLoaded ? missing : reading} items=${items} send=${send} check=${check} done=${finish}>
    ${error && html`<p class="note bad" role="alert">${explain(error)}</p>`}
    <${TextField} id="note" label="Reason" required=${true} text=${note} write=${setNote} hint="Internal note; it is recorded for each plan, and only staff can see it." />
  <//>`;
}

/** A plan as an item of the dialog; none if this decision can’t be taken about it now. */
function itemOf(opened, choice, nameOf) {
  const { plan } = opened;
  const action = actionOf(opened, choice);
  if (!action) return [];
  const received = `${moneyWithCode(plan.received, plan.currency)} received. `;
  return [{ key: plan.plan_id, opened, action, label: nameOf(plan), detail: `${received}${decisionOutcome(action, plan)}` }];
}
