// My learning: the enrollments, their projects, and the steps of each project.
import { h, icon, note, show } from "../shared/dom.js";
import * as api from "./api.js";

const STATUS_CHIPS = {
  ENROLLED: ["good", "check", "Enrolled"],
  PENDING: ["", "clock", "Waiting for payment"],
  WITHDRAWN: ["", "lock", "No longer enrolled"],
};

export async function learningView({ main }) {
  const [enrollments, titles, { tracks }] = await Promise.all([
    api.listEnrollments(),
    api.getTitles(),
    api.getCatalog(),
  ]);
  const isSold = (id) => tracks.some(({ track }) => track === id);
  if (!enrollments.length) {
    show(
      main,
      "My learning",
      h("p", { class: "lead" }, "You’re not enrolled in a track yet."),
      h("p", {}, h("a", { class: "button", href: "#/" }, "Browse tracks")),
    );
    return;
  }
  show(
    main,
    "My learning",
    enrollments.map((enrollment) => enrollmentPanel(enrollment, titles.get(enrollment.track), isSold(enrollment.track))),
  );
}

function enrollmentPanel({ track, status, projects }, title, isSold) {
  const steps = projects.flatMap((project) => project.steps);
  const done = steps.filter((step) => step.done).length;
  const [kind, drawing, text] = STATUS_CHIPS[status];
  return h(
    "section",
    { class: "panel", "aria-label": title },
    h("div", { class: "row spread" }, h("h2", {}, title), h("span", { class: `chip ${kind}` }, icon(drawing), text)),
    status === "PENDING" &&
      isSold &&
      noteWithLink("Your projects unlock as soon as your payment is complete.", track, "View payment"),
    !isSold &&
      status !== "ENROLLED" &&
      note("info", h("p", {}, "We no longer sell this track. Your progress is saved. Contact us if you have questions.")),
    status === "WITHDRAWN" &&
      isSold &&
      noteWithLink(
        "Your access to this track has ended. Your progress is saved: enroll again to pick up where you left off, " +
          "or contact us if you think this is a mistake.",
        track,
        "Enroll again",
      ),
    status !== "PENDING" &&
      h("p", { class: "small", id: `progress-${track}` }, `${done} of ${steps.length} steps done`),
    status !== "PENDING" && h("progress", { max: steps.length, value: done, "aria-labelledby": `progress-${track}` }),
    h("ol", { class: "work" }, projects.map(projectItem)),
  );
}

function noteWithLink(text, track, linkText) {
  return note("info", h("p", {}, `${text} `, h("a", { href: `#/buy/${track}` }, linkText)));
}

function projectItem({ title, unlocked, steps }) {
  const done = steps.filter((step) => step.done).length;
  const state = unlocked ? (done === steps.length ? "Done" : "Unlocked") : "Locked";
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
      h("ul", { class: "steps" }, steps.map(stepItem)),
    ),
  );
}

function stepItem({ title, done }) {
  return h(
    "li",
    { class: done ? "done" : "" },
    h("span", { class: "box", "aria-hidden": "true" }, done && icon("check")),
    title,
    h("span", { class: "visually-hidden" }, done ? " (done)" : " (not done)"),
  );
}
