// Erasing the account: a student confirms it, is signed out, and reads when it will be done.
import { explain } from "../shared/api.js";
import { h, note, show } from "../shared/dom.js";
import { day, moment } from "../shared/format.js";
import * as session from "../shared/session.js";
import * as api from "./api.js";
import { confirm } from "./dialog.js";
import { texts } from "./text.js";

const words = texts.erasure;
const REQUESTED = "tuition.erasure"; // kept in this tab while the hosted sign-in signs the student out

/** The panel from which a student erases their account. */
export function erasurePanel(config) {
  const open = () =>
    confirm({
      title: words.title,
      content: h(
        "div",
        {},
        h("ul", {}, Object.values(words.consequences).map((text) => h("li", {}, text))),
        h("p", {}, words.download_first),
        h(
          "div",
          { class: "check" },
          h("input", { type: "checkbox", id: "erasure-consent", required: true }),
          h("label", { for: "erasure-consent" }, words.consent),
        ),
      ),
      confirmText: words.confirm,
      cancelText: words.cancel,
      describe: refusal,
      work: async () => {
        const { erasure } = await api.eraseMe();
        sessionStorage.setItem(REQUESTED, JSON.stringify(erasure));
        session.signOut(config.sign_in);
      },
    });
  return h(
    "section",
    { class: "panel my-data", "aria-label": words.title },
    h("h2", {}, words.title),
    h("p", {}, words.lead),
    h("button", { type: "button", class: "danger", onclick: open }, words.open),
  );
}

/** Why the account cannot be erased now, and from when on it may be. */
function refusal(error) {
  const until = error.until && Date.parse(error.until) > Date.now() ? day(error.until) : undefined;
  const date = until ? words.earliest(until) : words.earliest_unknown;
  return [h("p", {}, explain(error)), error.type === "money-open" && h("p", {}, date)].filter(Boolean);
}

/** The erasure that this tab requested before it signed out, once; undefined without one. */
export function takeErasure() {
  const stored = sessionStorage.getItem(REQUESTED);
  sessionStorage.removeItem(REQUESTED);
  return stored ? JSON.parse(stored) : undefined;
}

/** Show a student who has been signed out when their account will be erased. */
export function showErasure(main, { state, due_at: dueAt, erased_at: erasedAt }) {
  const at = state === "erased" ? erasedAt : dueAt;
  const time = h("time", { datetime: at }, moment(at));
  show(
    main,
    state === "erased" ? words.erased : words.scheduled,
    note(
      "good",
      h("p", {}, ...(state === "erased" ? words.erased_at(time) : words.due_at(time))),
      h("p", {}, words.signed_out),
    ),
    state !== "erased" && h("p", {}, words.delayed),
  );
}
