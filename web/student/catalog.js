// The tracks and their prices, for anyone.
import { h, icon, show } from "../shared/dom.js";
import { money } from "../shared/format.js";
import * as session from "../shared/session.js";
import * as school from "./school.js";

export async function catalog({ main }) {
  const [{ tracks }, mine] = await Promise.all([school.tracks(), session.person() ? school.enrollments() : []]);
  const statuses = new Map(mine.map((one) => [one.track, one.status]));
  show(
    main,
    "Choose your track",
    h(
      "p",
      { class: "lead" },
      "Pay once, work at your own pace. Your first project unlocks the moment you are enrolled.",
    ),
    h(
      "ul",
      { class: "tracks" },
      tracks.map((track) => card(track, statuses.get(track.track))),
    ),
  );
}

function card(track, status) {
  const steps = track.projects.reduce((sum, project) => sum + project.steps.length, 0);
  return h(
    "li",
    { class: "track" },
    h("div", { class: `art art-${school.drawing(track.track)}` }, icon(school.drawing(track.track))),
    h(
      "div",
      { class: "body" },
      h("h2", {}, track.title),
      h("p", { class: "price" }, money(track.amount, track.currency), h("span", { class: "small" }, " once")),
      h("p", { class: "small" }, `${track.projects.length} projects, ${steps} steps`),
      h(
        "ol",
        { class: "projects" },
        track.projects.map((project) => h("li", {}, project.title)),
      ),
      way(track, status),
    ),
  );
}

function way(track, status) {
  if (status === "ENROLLED") {
    return h(
      "p",
      { class: "row" },
      h("span", { class: "chip good" }, icon("check"), "Enrolled"),
      h("a", { class: "button", href: "#/learning" }, `Go on with ${track.title}`),
    );
  }
  const text = status === "PENDING" ? `Finish paying for ${track.title}` : `Enroll in ${track.title}`;
  return h("p", { class: "row" }, h("a", { class: "button", href: `#/buy/${track.track}` }, text));
}
