// My data: everything that is stored about the student, as a file and as a page to read or print.
import { explain, SessionExpired } from "../shared/api.js";
import { action, announce, h, note } from "../shared/dom.js";
import { moment, sentenceCase } from "../shared/format.js";
import { newCopy, readCopy, saveData } from "../shared/personal_data.js";
import * as api from "./api.js";
import { texts } from "./text.js";

const words = texts.my_data;

const ID = /^[a-z]+_.*[A-Z0-9]/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/; // not a key that begins with a time

/**
 * `{panel, result}`: the panel from which the student gets their data, and the element in which it is shown. Parts that
 * were read stay, so that a refused request continues where it stopped.
 */
export function dataPanel() {
  const copy = newCopy();
  const progress = h("div", { role: "status" });
  const result = h("div", { class: "my-data shown" });
  const onError = (error) => {
    if (error instanceof SessionExpired) throw error;
    progress.replaceChildren(
      note("bad", h("p", {}, explain(error)), copy.cursor && h("p", {}, words.kept)),
    );
  };
  const after = (then) => async () => {
    progress.replaceChildren(h("p", { class: "small" }, words.collecting));
    await readCopy(copy, api.exportMyData);
    progress.replaceChildren(...filesNote(copy.files));
    if (copy.data) then(copy.data);
  };
  const download = (data) => {
    saveData(data, "my-data");
    announce(words.downloaded);
  };
  const read = (data) => {
    result.replaceChildren(...page(data));
    result.querySelector("h2").focus();
  };
  const panel = h(
    "section",
    { class: "panel my-data", "aria-label": words.title },
    h("h2", {}, words.title),
    h("p", {}, words.lead),
    h("ul", {}, Object.values(words.included).map((one) => h("li", {}, one))),
    h(
      "p",
      { class: "row" },
      action(words.download, after(download), { onError }),
      action(words.show, after(read), { onError, class: "quiet" }),
    ),
    progress,
  );
  return { panel, result };
}

/** The links to the parts that are files. */
function filesNote(files) {
  if (!files.length) return [];
  const link = ({ url, url_expires_at: until }, index) =>
    h("li", {}, h("a", { href: url }, words.file(index + 1)), words.file_until(moment(until)));
  return [note("info", h("p", {}, words.files), h("ul", {}, files.map(link)))];
}

/** The data as a page to read or print. Nothing is folded away, because a printer would leave it out. */
function page({ user_id: id, exported_at: at, person, payments, expired_payments: expired, records }) {
  const print = h("button", { type: "button", class: "quiet", onclick: () => window.print() }, words.print);
  return [
    h("div", { class: "row spread" }, h("h2", { tabindex: "-1" }, words.heading(moment(at))), print),
    h("p", { class: "small" }, words.units),
    section(words.you, { user_id: id, ...person }),
    ...payments.map((payment, index) => section(words.payment(payments.length - index), payment)),
    ...expired.map((payment) => section(words.expired_payment, payment)),
    records.length > 0 && section(words.records, records),
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
  if (typeof value === "boolean") return value ? words.yes : words.no;
  return TIME.test(value) ? h("time", { datetime: value }, moment(value, true)) : String(value);
}

/** A name in words. An id stays as it is. */
const label = (name) => (ID.test(name) ? name : sentenceCase(name));

const isEmpty = (value) =>
  value === null || value === undefined || (typeof value === "object" && Object.keys(value).length === 0);
