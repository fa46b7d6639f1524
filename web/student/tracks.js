// The catalog: the tracks and their prices, for everyone.
import { h, icon, show } from "../shared/dom.js";
import { money } from "../shared/format.js";
import { currentUser } from "../shared/session.js";
import * as api from "./api.js";
import { describe } from "./payment_state.js";
import { trackDrawing } from "./track_drawing.js";

export async function tracksView({ main }) {
  const [{ tracks }, learning] = await Promise.all([
    api.getCatalog(),
    currentUser() ? api.getLearning() : { enrollments: [] },
  ]);
  const enrollments = new Map(learning.enrollments.map((enrollment) => [enrollment.track, enrollment]));
  const stateOf = (track) => describe({ enrollment: enrollments.get(track), blocked: learning.blocked });
  show(
    main,
    "Choose your track",
    h("p", { class: "lead" }, "Pay once and learn at your own pace. Your first project unlocks as soon as you enroll."),
    h(
      "ul",
      { class: "tracks" },
      tracks.map((track) => trackCard(track, stateOf(track.track))),
    ),
  );
}

function trackCard(track, state) {
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
      nextStep(track, state),
    ),
  );
}

function nextStep({ track, title }, { chip, sentence, actions }) {
  const [kind, drawing, text] = chip ?? [];
  const links = [
    ["learn", "#/learning", `Continue ${title}`],
    ["view", `#/buy/${track}`, `View payment status of ${title}`],
    ["complete", `#/buy/${track}`, `Complete enrollment in ${title}`],
    ["enroll", `#/buy/${track}`, `Enroll in ${title}`],
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
