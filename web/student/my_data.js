// My data: everything that is stored about the student, as a file and as a page to read or print.
import { explain, SessionExpired } from "../shared/api.js";
import { action, announce, h, note, show } from "../shared/dom.js";
import { moment, sentenceCase } from "../shared/format.js";
import { newCopy, readCopy, saveData } from "../shared/personal_data.js";
import { currentUser } from "../shared/session.js";
import * as api from "./api.js";
import { erasurePanel } from "./erasure.js";

const MAX_CORRECTIONS = 6; // each corrects up to 100 payments, and the API lets six follow each other at once
const ID = /^[a-z]+_.*[A-Z0-9]/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/; // not a key that begins with a time
const INCLUDED = [
  "Your payments, refunds and disputes, with everything that happened to them",
  "Your enrollments and progress",
  "The emails that we sent you about payments, but not their text",
  "Your customer number at Stripe, and what keeps you from buying, if anything does",
];

/** The view with the student's data. Parts that were read stay, so that a refused request continues where it stopped. */
export async function myDataView({ main, config }) {
  const copy = newCopy();
  const progress = h("div", { role: "status", class: "my-data" });
  const result = h("div", { class: "my-data shown" });
  const onError = (error) => {
    if (error instanceof SessionExpired) throw error;
    progress.replaceChildren(
      note("bad", h("p", {}, explain(error)), copy.cursor && h("p", {}, "The parts that we have are kept. The next click continues.")),
    );
  };
  const after = (then) => async () => {
    progress.replaceChildren(h("p", { class: "small" }, "Collecting your data…"));
    await readCopy(copy, api.exportMyData);
    progress.replaceChildren(...filesNote(copy.files));
    if (copy.data) then(copy.data);
  };
  const download = (data) => {
    saveData(data, "my-data");
    announce("Your data was saved as a file.");
  };
  const read = (data) => {
    result.replaceChildren(...page(data));
    result.querySelector("h2").focus();
  };
  show(
    main,
    "My data",
    h("p", { class: "lead" }, "You can get a copy of everything that we store about you."),
    h("ul", {}, INCLUDED.map((one) => h("li", {}, one))),
    h("p", {}, "Your saved cards are stored by Stripe: see ", h("a", { href: "#/cards" }, "Cards"), "."),
    h(
      "p",
      { class: "row" },
      action("Download my data", after(download), { onError }),
      action("Show my data", after(read), { onError, class: "quiet" }),
    ),
    progress,
    addressPanel(),
    erasurePanel(config),
    result,
  );
}

/** The panel with which the address of the sign-in replaces an older one. */
function addressPanel() {
  const outcome = h("div", { role: "status" });
  const correct = async () => {
    outcome.replaceChildren();
    for (let number = 0; number < MAX_CORRECTIONS; number += 1) {
      const { email, complete } = await api.correctMyEmail();
      if (!complete) continue;
      outcome.replaceChildren(note("good", h("p", {}, `Your payments have the address ${email}.`)));
      return;
    }
    outcome.replaceChildren(note("info", h("p", {}, "Some payments are left. Update the address again.")));
  };
  const onError = (error) => {
    if (error instanceof SessionExpired) throw error;
    outcome.replaceChildren(note("bad", h("p", {}, explain(error))));
  };
  return h(
    "section",
    { class: "panel my-data", "aria-label": "Email address" },
    h("h2", {}, "Email address"),
    h(
      "p",
      {},
      `You are signed in with ${currentUser()?.email ?? "no email address"}. If we write to an older address, or your payments show one, update it.`,
    ),
    action("Update my address", correct, { onError, class: "quiet" }),
    outcome,
  );
}

/** The links to the parts that are files. */
function filesNote(files) {
  if (!files.length) return [];
  const link = ({ url, url_expires_at: until }, index) =>
    h("li", {}, h("a", { href: url }, `Part ${index + 1}`), ` (until ${moment(until)})`);
  const text = "A part of your data is too large to show here. Download it now:";
  return [note("info", h("p", {}, text), h("ul", {}, files.map(link)))];
}

/** The data as a page to read or print. Nothing is folded away, because a printer would leave it out. */
function page({ user_id: id, exported_at: at, person, payments, expired_payments: expired, records }) {
  const print = h("button", { type: "button", class: "quiet", onclick: () => window.print() }, "Print");
  return [
    h("div", { class: "row spread" }, h("h2", { tabindex: "-1" }, `Your data on ${moment(at)}`), print),
    h("p", { class: "small" }, "Amounts are in the smallest unit of their currency: 49900 usd are $499.00."),
    section("You", { user_id: id, ...person }),
    ...payments.map((payment, index) => section(`Payment ${payments.length - index}`, payment)),
    ...expired.map((payment) => section("Payment that was deleted after seven years", payment)),
    records.length > 0 && section("Records that belong to no payment", records),
  ].filter(Boolean);
}

const section = (title, value) => h("section", { class: "panel", "aria-label": title }, h("h3", {}, title), tree(value));

/** A value of the data: a list of its parts, or a text. Empty values are left out. */
function tree(value) {
  if (Array.isArray(value)) return h("ol", {}, value.map((one) => h("li", {}, tree(one))));
  if (value && typeof value === "object")
    return h(
      "dl",
      {},
      Object.entries(value)
        .filter(([, part]) => !isEmpty(part))
        .map(([name, part]) =>
          h("div", { class: typeof part === "object" ? "" : "leaf" }, h("dt", {}, label(name)), h("dd", {}, tree(part))),
        ),
    );
  if (typeof value === "boolean") return value ? "Yes" : "No";
  return TIME.test(value) ? h("time", { datetime: value }, moment(value, true)) : String(value);
}

/** A name in words. An id stays as it is. */
const label = (name) => (ID.test(name) ? name : sentenceCase(name));

const isEmpty = (value) =>
  value === null || value === undefined || (typeof value === "object" && Object.keys(value).length === 0);
