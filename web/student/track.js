// The page of one track, for everyone: what one learns and builds, how long it takes, and what it costs.
import { h, icon, show } from "../shared/dom.js";
import { money } from "../shared/format.js";
import { showNotSold } from "./buy_states.js";
import { loadTracks, nextStep } from "./next_step.js";
import { offerName } from "./plan_choice.js";
import { expectedSchedule, laterPayments, scheduleStrip } from "./plan_schedule.js";
import { refundPromise } from "./school_links.js";
import { texts } from "./text.js";
import { trackDrawing } from "./tracks.js";

const words = texts.track;

/** The view `#/tracks/DP`. */
export async function trackView({ main }, id) {
  const { catalog, stateOf } = await loadTracks();
  const track = catalog.tracks.find((one) => one.track === id);
  if (!track) return showNotSold(main);
  return show(
    main,
    track.title,
    h("p", { class: "lead" }, track.summary),
    h(
      "div",
      { class: "columns track-page" },
      h(
        "div",
        {},
        section(words.outcomes, checkedList(track.outcomes)),
        section(words.projects(track.projects.length, countSteps(track)), projectList(track.projects)),
        section(words.prerequisites, plainList(track.prerequisites)),
        section(words.questions, questionList(track.questions)),
      ),
      offer(track, catalog, stateOf(track)),
    ),
  );
}

const countSteps = (track) => track.projects.reduce((sum, { steps }) => sum + steps.length, 0);

/** A part of the page with its heading; undefined if it has no content. */
function section(title, content) {
  return content && h("section", { class: "panel" }, h("h2", {}, title), content);
}

function checkedList(lines) {
  if (!lines.length) return undefined;
  return h("ul", { class: "checked" }, lines.map((line) => h("li", {}, icon("check"), h("span", {}, line))));
}

function plainList(lines) {
  return lines.length ? h("ul", { class: "plain" }, lines.map((line) => h("li", {}, line))) : undefined;
}

function projectList(projects) {
  const items = projects.map(({ title, steps }) =>
    h("li", {}, h("h3", {}, title), h("ul", {}, steps.map((step) => h("li", {}, step.title)))),
  );
  return h("ol", { class: "outline" }, items);
}

function questionList(questions) {
  if (!questions.length) return undefined;
  const items = questions.map(({ question, answer }) =>
    h("details", {}, h("summary", {}, question), h("p", {}, answer)),
  );
  return h("div", { class: "questions" }, items);
}

/** A way to pay in installments: its amounts and dates, and the link to it. */
function planOffer(track, offer, timeZone) {
  const name = offerName(offer);
  return h(
    "details",
    { class: "plan-offer" },
    h("summary", {}, name, h("span", { class: "small line" }, words.first_now(money(offer.amounts[0], offer.currency)), laterPayments(offer))),
    h("p", { class: "small" }, words.dates),
    scheduleStrip(expectedSchedule(offer, timeZone), offer.currency, offer.amounts.length),
    h("p", { class: "row spread small" }, h("span", {}, words.total), h("span", {}, money(offer.total, offer.currency))),
    h("p", {}, h("a", { class: "button quiet", href: `#/buy/${track.track}/${offer.offer}` }, name)),
  );
}

/** The price with what it includes, and the next step. */
function offer(track, catalog, state) {
  const facts = [
    ["data", words.level, track.level],
    ["clock", words.duration, track.duration],
    ["check", words.content, words.projects_and_steps(track.projects.length, countSteps(track))],
  ].filter(([, , fact]) => fact);
  return h(
    "aside",
    { class: "panel offer", "aria-label": words.offer },
    trackDrawing(track.track),
    h("p", { class: "price" }, money(track.amount, track.currency), h("span", { class: "small" }, ` ${words.once}`)),
    h(
      "dl",
      { class: "facts" },
      facts.map(([drawing, name, fact]) => h("div", {}, h("dt", {}, icon(drawing), name), h("dd", {}, fact))),
    ),
    nextStep(track, state),
    state.actions.includes("enroll") && track.offers.map((one) => planOffer(track, one, catalog.school_time_zone)),
    h("p", { class: "small secure" }, icon("shield"), h("span", {}, refundPromise(catalog))),
  );
}
