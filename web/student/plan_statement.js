// The statement of a plan, `#/plans/pln_1/statement`: every amount that was requested, received, refunded or lost, to print.
import { h, icon, show } from "../shared/dom.js";
import { day, money } from "../shared/format.js";
import { currentUser } from "../shared/session.js";
import * as api from "./api.js";
import { contactLink } from "./school_links.js";
import { texts } from "./text.js";

const words = texts.plan_statement;

/** Show the statement of a plan. */
export async function statementView({ main, catalog, title }, plan) {
  const statement = await api.getStatement(plan.plan_id);
  const { currency, requested, received, refunded, lost, balance } = statement;
  const sum = ([name, amount]) => h("div", {}, h("dt", {}, name), h("dd", {}, money(amount, currency)));
  const sums = [
    [words.requested, requested],
    [words.received, received],
    refunded > 0 && [words.refunded, -refunded],
    lost > 0 && [words.lost, -lost],
    [words.balance, balance],
  ].filter(Boolean);
  const { school_name: school, support_contact: contact } = catalog;
  const print = h("button", { type: "button", class: "quiet", onclick: () => window.print() }, icon("print"), words.print);
  show(
    main,
    words.title(title),
    h(
      "section",
      { class: "panel order", "aria-label": words.lines },
      h("p", { class: "small" }, [school, words.number(plan.plan_id), currentUser()?.email, words.on(day(Date.now()))].filter(Boolean).join(" · ")),
      h(
        "table",
        {},
        h("thead", {}, h("tr", {}, ...[words.date, words.what, words.amount].map((name) => h("th", { scope: "col" }, name)))),
        h("tbody", {}, statement.lines.map((line) => row(line, currency))),
      ),
      h("dl", { class: "sums" }, sums.map(sum)),
      contact && h("p", { class: "small" }, ...words.contact(contactLink(contact))),
    ),
    h("div", { class: "row actions" }, print, h("a", { href: `#/plans/${plan.plan_id}` }, words.back)),
  );
}

function row({ at, kind, seqs, amount, payment_id: payment, id }, currency) {
  const signed = ["refunded", "lost"].includes(kind) ? -amount : amount;
  return h(
    "tr",
    {},
    h("td", {}, h("time", { datetime: at }, day(at))),
    h(
      "td",
      {},
      h("span", {}, words.kinds[kind]),
      seqs?.length ? h("span", { class: "small" }, ` ${words.installments(seqs)}`) : "",
      h("span", { class: "small line" }, id ?? payment),
    ),
    h("td", {}, money(signed, currency)),
  );
}
