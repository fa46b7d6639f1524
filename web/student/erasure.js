// Erasing the account: a student confirms it, is signed out, and reads when it will be done.
import { explain } from "../shared/api.js";
import { h, note, show } from "../shared/dom.js";
import { day, moment } from "../shared/format.js";
import * as session from "../shared/session.js";
import * as api from "./api.js";
import { confirm } from "./dialog.js";

const REQUESTED = "tuition.erasure"; // kept in this tab while the hosted sign-in signs the student out
const CONSEQUENCES = [
  "Your sign-in and your access to all tracks end.",
  "The chance of a refund ends. If you want one, request it first.",
  "We erase your email address, card digits, receipts, messages and notes. Stripe deletes your saved cards.",
  "We keep the amounts, times and numbers of your payments, because the law asks for it. Nothing in them leads to you.",
];

/** The panel from which a student erases their account. */
export function erasurePanel(config) {
  const open = () =>
    confirm({
      title: "Erase my account",
      content: h(
        "div",
        {},
        h("ul", {}, CONSEQUENCES.map((text) => h("li", {}, text))),
        h("p", {}, "Download your data first if you want to keep it. You can’t take this back."),
        h(
          "div",
          { class: "check" },
          h("input", { type: "checkbox", id: "erasure-consent", required: true }),
          h("label", { for: "erasure-consent" }, "I understand that my access and the chance of a refund end."),
        ),
      ),
      confirmText: "Erase my account",
      cancelText: "Keep my account",
      describe: refusal,
      work: async () => {
        const { erasure } = await api.eraseMe();
        sessionStorage.setItem(REQUESTED, JSON.stringify(erasure));
        session.signOut(config.sign_in);
      },
    });
  return h(
    "section",
    { class: "panel my-data", "aria-label": "Erase my account" },
    h("h2", {}, "Erase my account"),
    h("p", {}, "We erase everything that leads to you. Your access and the chance of a refund end."),
    h("button", { type: "button", class: "danger", onclick: open }, "Erase my account…"),
  );
}

/** Why the account cannot be erased now, and from when on it may be. */
function refusal(error) {
  const until = error.until && Date.parse(error.until) > Date.now() ? day(error.until) : undefined;
  const date = until ? `The earliest date is ${until}.` : "The earliest date is not known yet.";
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
  show(
    main,
    state === "erased" ? "Your account is erased" : "Your account will be erased",
    note(
      "good",
      h("p", {}, state === "erased" ? "It was done on " : "It will be done by ", h("time", { datetime: at }, moment(at)), "."),
      h("p", {}, "You are signed out. You don’t need to do anything else."),
    ),
    state !== "erased" &&
      h("p", {}, "A refund or dispute that opens before then delays it."),
  );
}
