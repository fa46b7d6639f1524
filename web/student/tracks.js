// The catalog: the tracks and their prices, for everyone.
import { h, icon, show } from "../shared/dom.js";
import { money } from "../shared/format.js";
import { currentUser } from "../shared/session.js";
import * as api from "./api.js";
import { trackDrawing } from "./track_drawing.js";

export async function tracksView({ main }) {
  const [{ tracks }, enrollments] = await Promise.all([
    api.getCatalog(),
    currentUser() ? api.listEnrollments() : [],
  ]);
  const statuses = new Map(enrollments.map(({ track, status }) => [track, status]));
  show(
    main,
    "Choose your track",
    h("p", { class: "lead" }, "Pay once and learn at your own pace. Your first project unlocks as soon as you enroll."),
    h(
      "ul",
      { class: "tracks" },
      tracks.map((track) => trackCard(track, statuses.get(track.track))),
    ),
  );
}

function trackCard(track, status) {
  const steps = track.projects.reduce((sum, project) => sum + project.steps.length, 0);
  return h(
    "li",
    { class: "track" },
    trackDrawing(track.track),
    h(
      "div",
      { class: "body" },
      h("h2", {}, track.title),
      h("p", { class: "price" }, money(track.amount, track.currency), h("span", { class: "small" }, " one-time")),
      h("p", { class: "small" }, `${track.projects.length} projects, ${steps} steps`),
      h(
        "ol",
        { class: "projects" },
        track.projects.map((project) => h("li", {}, project.title)),
      ),
      nextStep(track, status),
    ),
  );
}

function nextStep(track, status) {
  if (status === "ENROLLED") {
    return h(
      "p",
      { class: "row" },
      h("span", { class: "chip good" }, icon("check"), "Enrolled"),
      h("a", { class: "button", href: "#/learning" }, `Continue ${track.title}`),
    );
  }
  const text = status === "PENDING" ? `Complete enrollment in ${track.title}` : `Enroll in ${track.title}`;
  return h("p", { class: "row" }, h("a", { class: "button", href: `#/buy/${track.track}` }, text));
}
