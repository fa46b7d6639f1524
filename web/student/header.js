// The header: links to the views, and the signed-in user.
import { h, icon } from "../shared/dom.js";
import * as session from "../shared/session.js";
import { texts } from "./text.js";

const words = texts.header;
const LINKS = [
  ["", words.tracks],
  ["learning", words.learning],
  ["payments", words.payments],
  ["account", words.account],
];
const PUBLIC = new Set([""]);
const PARENTS = { cards: "account", data: "account", plans: "payments", tracks: "" };

/** Show the header. `name` is the current view, `path` its whole address, to which the sign-in leads back. */
export function showHeader(config, name, path) {
  const user = session.currentUser();
  const links = LINKS.filter(([to]) => user || PUBLIC.has(to));
  document.getElementById("nav").replaceChildren(
    h(
      "ul",
      {},
      links.map(([to, text]) =>
        h("li", {}, h("a", { href: `#/${to}`, "aria-current": to === (PARENTS[name] ?? name) ? "page" : undefined }, text)),
      ),
    ),
  );
  const signIn = h("a", { class: "button quiet small", href: `#/sign-in/${path}` }, words.sign_in);
  const signOut = () => session.signOut(config.sign_in);
  document
    .getElementById("who")
    .replaceChildren(
      ...(user
        ? [
            h("span", { class: "mail", title: user.email }, user.email),
            h("button", { type: "button", class: "quiet small", onclick: signOut }, icon("leave"), words.sign_out),
          ]
        : name === "sign-in"
          ? []
          : [signIn]),
    );
}
