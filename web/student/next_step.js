// The next step of a student with a track: enroll, complete a payment, or continue. On its card and on its page.
import { imported } from "../shared/api.js";
import { h, icon } from "../shared/dom.js";
import { currentUser } from "../shared/session.js";
import * as api from "./api.js";
import { texts } from "./text.js";

const words = texts.next_step;

/** `{catalog, stateOf(track)}`: the catalog, and the student's state of each of its tracks as `describe` returns it. */
export async function loadTracks() {
  if (!currentUser()) return { catalog: await api.getCatalog(), stateOf: () => ({ actions: ["enroll"] }) };
  const [catalog, { enrollments, blocked }, { describe }] = await Promise.all([
    api.getCatalog(),
    api.getLearning(),
    imported(import("./payment_state.js")), // a visitor does not wait for it
  ]);
  const byTrack = new Map(enrollments.map((enrollment) => [enrollment.track, enrollment]));
  const member = catalog.memberships.length ? await findMembership() : undefined;
  const stateOf = ({ track }) => {
    const enrollment = byTrack.get(track);
    const state = { ...describe({ enrollment, blocked }), plan: enrollment?.plan };
    return member && state.actions.includes("enroll") ? { ...state, plan: member, actions: ["begin", "enroll"] } : state;
  };
  return { catalog, stateOf };
}

/** The membership with which the student can begin any track; undefined without one. */
const findMembership = async () => (await api.listPlans()).find((plan) => plan.membership && plan.grants_access);

/** The next step as a button, with the state of the enrollment and what the student must know about it. */
export function nextStep({ track, title }, { chip, sentence, actions, plan }) {
  const [kind, drawing, text] = chip ?? [];
  const links = [
    ["learn", "#/learning", words.continue(title)],
    ["view", `#/buy/${track}`, words.view(title)],
    ["complete", `#/buy/${track}`, words.complete(title)],
    ["plan", `#/plans/${plan?.plan_id}`, words.plan(title)],
    ["begin", `#/plans/${plan?.plan_id}`, words.begin(title)],
    ["enroll", `#/buy/${track}`, words.enroll(title)],
  ].filter(([name]) => actions.includes(name));
  return h(
    "div",
    { class: "next" },
    sentence && h("p", { class: "small" }, sentence),
    h(
      "p",
      { class: "row" },
      chip && !actions.includes("enroll") && h("span", { class: `chip ${kind}` }, icon(drawing), text),
      links.slice(0, 1).map(([, href, label]) => h("a", { class: "button", href }, label)),
    ),
  );
}
