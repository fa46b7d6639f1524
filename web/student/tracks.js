// The catalog: the tracks and their prices, for everyone.
import { h, icon, show } from "../shared/dom.js";
import { money } from "../shared/format.js";
import { loadTracks, nextStep } from "./next_step.js";
import { refundPromise } from "./school_links.js";
import { texts } from "./text.js";

const words = texts.tracks;
const DRAWINGS = { DP: "data", FSD: "code" };

export async function tracksView({ main }) {
  const { catalog, stateOf } = await loadTracks();
  show(
    main,
    words.title,
    h("p", { class: "lead" }, words.lead),
    h("ul", { class: "tracks" }, catalog.tracks.map((track) => trackCard(track, stateOf(track)))),
    h("p", { class: "small promise" }, refundPromise(catalog)),
  );
}

function trackCard(track, state) {
  const page = `#/tracks/${track.track}`;
  return h(
    "li",
    { class: "track" },
    trackDrawing(track.track),
    h(
      "div",
      { class: "body" },
      h("h2", {}, h("a", { href: page }, track.title)),
      h("p", { class: "price" }, money(track.amount, track.currency), h("span", { class: "small" }, ` ${words.once}`)),
      h("p", {}, track.summary),
      h("p", { class: "small" }, [track.level, track.duration].filter(Boolean).join(" · ")),
      h("ol", { class: "projects" }, track.projects.map((project) => h("li", {}, project.title))),
      h("p", {}, h("a", { href: page }, words.details(track.title))),
      nextStep(track, state),
    ),
  );
}

/** The picture of a track. */
export function trackDrawing(track) {
  const name = DRAWINGS[track] ?? "check";
  return h("div", { class: `art art-${name}` }, icon(name));
}
