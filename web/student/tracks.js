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
    memberships(catalog),
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
      track.offers.map((offer) => h("p", { class: "small instead" }, inInstallments(offer))),
      h("p", {}, track.summary),
      h("p", { class: "small" }, [track.level, track.duration].filter(Boolean).join(" · ")),
      h("ol", { class: "projects" }, track.projects.map((project) => h("li", {}, project.title))),
      h("p", {}, h("a", { href: page }, words.details(track.title))),
      nextStep(track, state),
    ),
  );
}

/** An offer in a few words: `or 4 payments of $124.75`. */
function inInstallments({ amounts, currency }) {
  const isEven = amounts.every((amount) => amount === amounts[0]);
  return isEven ? words.or_even(amounts.length, money(amounts[0], currency)) : words.or(amounts.length);
}

/** The memberships beside the tracks; undefined without one. */
function memberships({ memberships: offered }) {
  if (!offered.length) return undefined;
  const cards = offered.map(({ membership, title, summary, offers }) =>
    h(
      "li",
      { class: "track" },
      h(
        "div",
        { class: "body" },
        h("h3", {}, title),
        h("p", {}, summary),
        h("p", { class: "price" }, words.periods(offers.map(({ total, currency, every }) => words.each[every](money(total, currency))))),
        h("p", { class: "small" }, words.cancel_any_time),
        h("div", { class: "next" }, h("a", { class: "button", href: `#/buy/${membership}` }, words.join(title))),
      ),
    ),
  );
  return h(
    "section",
    { class: "memberships", "aria-labelledby": "memberships" },
    h("h2", { id: "memberships" }, words.memberships),
    h("ul", { class: "tracks" }, cards),
  );
}

/** The picture of a track. */
export function trackDrawing(track) {
  const name = DRAWINGS[track] ?? "check";
  return h("div", { class: `art art-${name}` }, icon(name));
}
