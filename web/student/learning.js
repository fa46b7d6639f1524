// My learning: the enrollments, their projects, and the steps of each project.
import { explain } from "../shared/api.js";
import { h, icon, note, show } from "../shared/dom.js";
import { money } from "../shared/format.js";
import * as api from "./api.js";
import { describe } from "./payment_state.js";
import { duePayment } from "./plan_state.js";
import { contactLink, newTab } from "./school_links.js";
import { texts } from "./text.js";

const words = texts.learning;

export async function learningView({ main }) {
  const [{ enrollments, blocked }, titles, { tracks, support_contact: contact }] = await Promise.all([
    api.getLearning(),
    api.getTitles(),
    api.getCatalog(),
  ]);
  const sold = new Set(tracks.map(({ track }) => track));
  if (!enrollments.length) {
    show(
      main,
      words.title,
      h("p", { class: "lead" }, words.empty),
      h("p", {}, h("a", { class: "button", href: "#/" }, words.browse)),
    );
    return;
  }
  show(
    main,
    words.title,
    enrollments.map((enrollment) =>
      enrollmentPanel(enrollment, { title: titles.get(enrollment.track), blocked, sold: sold.has(enrollment.track), contact }),
    ),
  );
}

function enrollmentPanel(enrollment, { title, blocked, sold, contact }) {
  const { track, status, projects } = enrollment;
  const steps = projects.flatMap((project) => project.steps);
  const done = steps.filter((step) => step.done).length;
  const next = projects.filter(({ unlocked }) => unlocked).flatMap((project) => project.steps).find((step) => !step.done);
  const { chip, sentence, actions } = describe({ enrollment, blocked, sold });
  const [kind, drawing, text] = chip;
  const hasProgress = ["ENROLLED", "SUSPENDED", "WITHDRAWN"].includes(status);
  return h(
    "section",
    { class: "panel", "aria-label": title },
    h("div", { class: "row spread" }, h("h2", {}, title), h("span", { class: `chip ${kind}` }, icon(drawing), text)),
    sentence && note("info", h("p", {}, `${sentence} `, linkOf(actions, enrollment) ?? "")),
    status === "ENROLLED" && (next ? nextStep(next, contact) : h("p", {}, words.all_done)),
    hasProgress && h("p", { class: "small", id: `progress-${track}` }, words.steps_done(done, steps.length)),
    hasProgress && h("progress", { max: steps.length, value: done, "aria-labelledby": `progress-${track}` }),
    enrollment.plan ? planLink(enrollment.plan, title) : whyDetails(enrollment, title),
    h("ol", { class: "work" }, projects.map(projectItem)),
  );
}

/** The next step: a button that opens it in the course, or where the course is if the page does not know its address. */
function nextStep({ title, url }, contact) {
  const open = url && newTab(url, words.open);
  open?.classList.add("button");
  const where = contact ? words.where_to_ask(contactLink(contact)) : [words.where];
  return h("div", { class: "course" }, h("p", { class: "strong" }, words.next(title)), h("p", {}, ...(open ? [open] : where)));
}

function planLink({ plan_id: id }, title) {
  const about = h("span", { class: "visually-hidden" }, words.plan_of(title));
  return h("p", { class: "small" }, h("a", { href: `#/plans/${id}` }, words.plan, about));
}

/** Once opened, the API says in plain words why the student is enrolled or not. */
function whyDetails({ track, status }, title) {
  const question = status === "ENROLLED" ? words.why_enrolled : words.why_not_enrolled;
  const answer = h("p", { role: "status" });
  let loaded = false;
  const ask = async () => {
    if (loaded) return;
    loaded = true;
    answer.textContent = words.loading;
    try {
      answer.textContent = (await api.explainEnrollment(track)).sentence;
    } catch (error) {
      loaded = false;
      answer.textContent = explain(error);
    }
  };
  return h(
    "details",
    { class: "why", ontoggle: ask },
    h("summary", {}, question, h("span", { class: "visually-hidden" }, ` ${title}`)),
    answer,
  );
}

const LINKS = { complete: words.complete, view: words.view, enroll: words.enroll };

function linkOf(actions, { track, plan }) {
  const due = plan && duePayment(plan);
  if (actions.includes("plan") && due)
    return h("a", { href: `#/plans/${plan.plan_id}/pay/${due.what}` }, words.pay(money(due.amount, plan.currency)));
  const name = Object.keys(LINKS).find((one) => actions.includes(one));
  return name && h("a", { href: `#/buy/${track}` }, LINKS[name]);
}

function projectItem({ title, unlocked, steps }) {
  const done = steps.filter((step) => step.done).length;
  const state = unlocked ? (done === steps.length ? words.project_done : words.unlocked) : words.locked;
  return h(
    "li",
    { class: unlocked ? "open" : "locked" },
    h(
      "details",
      { open: unlocked },
      h(
        "summary",
        {},
        h("span", { class: "name" }, title),
        h("span", { class: `chip ${unlocked ? "good" : ""}` }, icon(unlocked ? "check" : "lock"), state),
      ),
      h("ul", { class: "steps" }, steps.map((step) => stepItem(step, unlocked))),
    ),
  );
}

function stepItem({ title, done, url }, unlocked) {
  return h(
    "li",
    { class: done ? "done" : "" },
    h("span", { class: "box", "aria-hidden": "true" }, done && icon("check")),
    url && unlocked ? newTab(url, title) : title,
    h("span", { class: "visually-hidden" }, ` ${done ? words.step_done : words.step_not_done}`),
  );
}
