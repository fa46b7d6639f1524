// The student page: which view is shown, who is signed in, and coming back from Stripe or from the sign-in.
import { explain, SignedOut } from "../shared/api.js";
import { action, h, icon, note, show, waiting } from "../shared/dom.js";
import * as session from "../shared/session.js";
import { buy, paid } from "./buy.js";
import { cards } from "./cards.js";
import { catalog } from "./catalog.js";
import { learning } from "./learning.js";
import { payments } from "./payments.js";
import { signIn } from "./sign_in.js";
import { stripe } from "./stripe.js";

const VIEWS = new Map([
  ["", catalog],
  ["buy", buy],
  ["paid", paid],
  ["learning", learning],
  ["payments", payments],
  ["cards", cards],
]);
const OPEN_TO_ALL = new Set([""]);
const LINKS = [
  ["", "Tracks"],
  ["learning", "My learning"],
  ["payments", "Payments"],
  ["cards", "Cards"],
];
const main = document.getElementById("main");
let config, leaving, came;

/** `#/buy/DP` -> ["buy", "DP"]. */
const route = () => location.hash.replace(/^#\/?/, "").split("/");

async function go(message) {
  leaving?.abort(new DOMException("the view is left", "AbortError"));
  const { signal } = (leaving = new AbortController());
  const [name, ...rest] = route();
  const from = came;
  came = undefined;
  frame(name);
  const view = VIEWS.get(name);
  try {
    if (!view) show(main, "There is no such page", h("p", {}, h("a", { href: "#/" }, "See the tracks")));
    else if (!session.person() && !OPEN_TO_ALL.has(name)) signIn({ main, config, message, done: () => go() });
    else {
      const place = h("div", {}, waiting("Loading …")); // its own: what comes late, when it was left, is shown nowhere
      main.replaceChildren(place);
      await view({ main: place, config, signal, again: () => go() }, ...rest, from);
    }
  } catch (error) {
    if (signal.aborted || error === signal.reason) return;
    if (error instanceof SignedOut) signedOut(error, from);
    else failed(error, from);
  }
}

/** Sign in, then come back to this very place, with what was to be done here. */
function signedOut(error, from) {
  came = from;
  frame(route()[0]);
  signIn({ main, config, message: error.message, done: () => go() });
}

function failed(error, from) {
  show(
    main,
    "That did not work",
    note("bad", h("p", {}, explain(error))),
    h(
      "p",
      {},
      action("Try again", async () => {
        came = from;
        await go();
      }),
    ),
  );
}

/** What stands around every view: the way to the others, and who is signed in. */
function frame(name) {
  const person = session.person();
  const links = LINKS.filter(([to]) => person || OPEN_TO_ALL.has(to));
  document.getElementById("nav").replaceChildren(
    h(
      "ul",
      {},
      links.map(([to, text]) =>
        h("li", {}, h("a", { href: `#/${to}`, "aria-current": to === name ? "page" : undefined }, text)),
      ),
    ),
  );
  document
    .getElementById("who")
    .replaceChildren(
      ...(person
        ? [
            h("span", { class: "mail", title: person.email }, person.email),
            h(
              "button",
              { type: "button", class: "quiet small", onclick: () => session.signOut(config.sign_in) },
              icon("out"),
              "Sign out",
            ),
          ]
        : [
            h(
              "button",
              { type: "button", class: "quiet small", onclick: () => signIn({ main, config, done: () => go() }) },
              "Sign in",
            ),
          ]),
    );
}

/** Where Stripe or the sign-in sent the browser back with a query: a place of the page, and an address without it. */
async function arrive() {
  const query = new URLSearchParams(location.search);
  let hash = location.hash || "#/";
  let message;
  if (query.has("state")) {
    try {
      hash = await session.finishHosted(config.sign_in, query);
      if (hash.startsWith("/")) return leave(hash);
    } catch (error) {
      message = error.message;
    }
  } else if (query.has("paid")) {
    const id = query.get("session") ?? query.get("payment_intent");
    hash = `#/buy/${query.get("paid")}`;
    came = id ? { paid: id, refused: query.get("redirect_status") === "failed" } : undefined;
  } else if (query.has("left")) {
    hash = `#/buy/${query.get("left")}`;
    came = { left: true };
  } else if (query.get("payment") === "success" && query.has("session_id")) {
    hash = `#/paid/${query.get("session_id")}`;
  } else if (query.has("payment")) {
    hash = "#/payments";
  }
  if (location.search) history.replaceState(null, "", `/${hash}`);
  return message;
}

/** Go on to a page of ours that asked for the sign-in: the console. */
function leave(path) {
  location.replace(path);
  return new Promise(() => {});
}

async function begin() {
  show(main, "Tuition", waiting("Loading …"));
  const online = () => {
    document.getElementById("offline").hidden = navigator.onLine;
  };
  for (const name of ["online", "offline"]) window.addEventListener(name, online);
  online();
  const answer = await fetch("/config.json");
  config = await answer.json();
  const message = await arrive();
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault(); // its address is a place on this page, and the hash says which view is shown
    main.focus();
  });
  window.addEventListener("hashchange", () => go());
  window.addEventListener("signed-out", ({ detail }) => signedOut(detail));
  window.addEventListener("unhandledrejection", (event) => {
    if (!(event.reason instanceof SignedOut)) return;
    event.preventDefault();
    signedOut(event.reason);
  });
  // Back from Checkout the browser may show the page as it was left: look again at what is open.
  window.addEventListener("pageshow", ({ persisted }) => persisted && go());
  stripe(config).catch(() => {}); // on every view, for Stripe's fraud signals; a view that needs it says what went wrong
  if (message) {
    show(main, "You are not signed in", note("bad", h("p", {}, message)));
    frame("");
    return;
  }
  await go();
}

begin().catch((error) => {
  console.error(error);
  show(
    main,
    "The page could not be loaded",
    note("bad", h("p", {}, "The school cannot be reached. Check your connection.")),
    h("p", {}, h("button", { type: "button", onclick: () => location.reload() }, "Load it again")),
  );
});
