// What a student is enrolled in: projects, and the steps of each.
import { h, icon, note, show } from "../shared/dom.js";
import * as school from "./school.js";

export async function learning({ main }) {
  const [mine, { tracks }] = await Promise.all([school.enrollments(), school.tracks()]);
  const titles = new Map(tracks.map((track) => [track.track, track.title]));
  if (!mine.length) {
    show(
      main,
      "My learning",
      h("p", { class: "lead" }, "You are not enrolled in a track yet."),
      h("p", {}, h("a", { class: "button", href: "#/" }, "See the tracks")),
    );
    return;
  }
  show(
    main,
    "My learning",
    mine.map((one) => enrollment(one, titles.get(one.track))),
  );
}

function enrollment({ track, status, projects }, title) {
  const steps = projects.flatMap((project) => project.steps);
  const done = steps.filter((step) => step.done).length;
  const chip = {
    ENROLLED: ["good", "check", "Enrolled"],
    PENDING: ["", "clock", "Waiting for payment"],
    WITHDRAWN: ["bad", "alert", "Withdrawn"],
  }[status];
  return h(
    "section",
    { class: "panel", "aria-label": title },
    h(
      "div",
      { class: "row spread" },
      h("h2", {}, title),
      h("span", { class: `chip ${chip[0]}` }, icon(chip[1]), chip[2]),
    ),
    status === "PENDING" &&
      note(
        "info",
        h(
          "p",
          {},
          "Your projects unlock as soon as the payment settles. ",
          h("a", { href: `#/buy/${track}` }, "See the payment"),
        ),
      ),
    status === "WITHDRAWN" &&
      note(
        "info",
        h(
          "p",
          {},
          "This track is no longer open to you. What you have done is kept: enroll again and you go on from here. ",
          h("a", { href: `#/buy/${track}` }, "Enroll again"),
        ),
      ),
    status !== "PENDING" &&
      h("p", { class: "small", id: `progress-${track}` }, `${done} of ${steps.length} steps done`),
    status !== "PENDING" && h("progress", { max: steps.length, value: done, "aria-labelledby": `progress-${track}` }),
    h("ol", { class: "work" }, projects.map(project)),
  );
}

function project({ title, unlocked, steps }) {
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
      h(
        "ul",
        { class: "steps" },
        steps.map((step) =>
          h(
            "li",
            { class: step.done ? "done" : "" },
            h("span", { class: "box", "aria-hidden": "true" }, step.done && icon("check")),
            step.title,
            h("span", { class: "visually-hidden" }, step.done ? " (done)" : " (not done)"),
          ),
        ),
      ),
    ),
  );
}
