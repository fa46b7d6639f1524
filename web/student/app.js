// The student page: choosing the view, and what surrounds it.
import { explain, imported, Offline, SessionExpired } from "../shared/api.js";
import { action, announce, h, loading, note, show } from "../shared/dom.js";
import { writeFor } from "../shared/format.js";
import * as session from "../shared/session.js";
import { useWords } from "../shared/words.js";
import { getCatalog } from "./api.js";
import { showHeader } from "./header.js";
import { schoolLinks } from "./school_links.js";
import { language, locale, texts } from "./text.js";
import { tracksView } from "./tracks.js";

const words = texts.app;
const laterModules = [];

/** A view that most visitors do not open first: they do not wait for its modules. */
function later(load) {
  laterModules.push(load);
  return async (...args) => (await imported(load()))(...args);
}

const ACCOUNT = later(async () => (await import("./account.js")).accountView);
const VIEWS = new Map([
  ["", tracksView],
  ["tracks", later(async () => (await import("./track.js")).trackView)],
  ["buy", later(async () => (await import("./buy.js")).buyView)],
  ["paid", later(async () => (await import("./buy.js")).paidView)],
  ["learning", later(async () => (await import("./learning.js")).learningView)],
  ["payments", later(async () => (await import("./payments.js")).paymentsView)],
  ["plans", later(async () => (await import("./plans.js")).plansView)],
  ["cards", later(async () => (await import("./cards.js")).cardsView)],
  ["account", ACCOUNT],
  ["data", ACCOUNT], // the name of the account in earlier versions
  ["sign-in", later(async () => (await import("./sign_in.js")).signInView)],
]);
const LOAD_THE_REST_MS = 2000; // the first view has the connection to itself until then
const ERASURE = "tuition.erasure"; // as in erasure.js, which most visits do not need
const PUBLIC_VIEWS = new Set(["", "sign-in", "tracks"]);
const main = document.getElementById("main");
let config, currentView, arrival;

/** `#/buy/DP` -> ["buy", "DP"]. */
const route = () => location.hash.replace(/^#\/?/, "").split("/");

/** Show the view of the current address. `arrival`, if the student has just come back from Stripe, is used once. */
async function showView() {
  currentView?.abort(new DOMException("the user left the view", "AbortError"));
  const { signal } = (currentView = new AbortController());
  const [name, ...params] = route();
  const arrivedWith = arrival;
  arrival = undefined;
  document.getElementById("live").textContent = ""; // it was about the view before
  showHeader(config, name, route().join("/"));
  const view = VIEWS.get(name);
  try {
    if (!view) show(main, words.not_found, h("p", {}, h("a", { href: "#/" }, words.browse)));
    else if (!session.currentUser() && !PUBLIC_VIEWS.has(name)) await askToSignIn();
    else {
      const container = h("div", {}, loading(words.loading)); // detached when the user leaves, so late results stay hidden
      main.replaceChildren(container);
      await view({ main: container, config, signal, reload: showView }, ...params, arrivedWith);
    }
  } catch (error) {
    if (signal.aborted || error === signal.reason) return;
    const retry = () => {
      arrival = arrivedWith;
      return showView();
    };
    if (error instanceof SessionExpired) await onSessionExpired(error, retry);
    else showError(error, retry, signal);
  }
}

async function askToSignIn(message, onSignIn = showView) {
  const { signal } = currentView;
  const { showSignIn } = await imported(import("./sign_in.js"));
  if (signal.aborted) return;
  announce(""); // the last announcement was about the view before
  showSignIn({ main, config, message, onSignIn });
}

/** Ask to sign in, then return to the current view. */
async function onSessionExpired(error, onSignIn = showView) {
  showHeader(config, route()[0], route().join("/"));
  try {
    await askToSignIn(error.message, onSignIn);
  } catch (failure) {
    showError(failure, () => onSessionExpired(error, onSignIn), currentView.signal);
  }
}

/** Say what went wrong. If there was no connection, try again as soon as there is one. */
function showError(error, retry, signal) {
  show(main, words.error, note("bad", h("p", {}, explain(error))), h("p", {}, action(words.try_again, retry)));
  if (error instanceof Offline) window.addEventListener("online", retry, { signal, once: true });
}

function showWhetherOffline() {
  document.getElementById("offline").hidden = navigator.onLine;
}

function listen() {
  document.querySelector(".skip").addEventListener("click", (event) => {
    event.preventDefault(); // its hash would be taken for a view
    main.focus();
  });
  document.addEventListener("click", ({ target }) => {
    const link = target.closest("a[href^='#/']");
    if (link?.hash === (location.hash || "#/")) showView(); // a link to the current view loads it again
  });
  window.addEventListener("hashchange", () => showView());
  window.addEventListener("session-expired", ({ detail }) => onSessionExpired(detail));
  window.addEventListener("unhandledrejection", (event) => {
    if (!(event.reason instanceof SessionExpired)) return;
    event.preventDefault();
    onSessionExpired(event.reason);
  });
  // After Back from Checkout, the browser may show the page as it was: reload what may have changed.
  window.addEventListener("pageshow", ({ persisted }) => persisted && showView());
}

/** Put the page itself into the reader's language: the texts of index.html, the shared modules, dates and money. */
function speak() {
  document.documentElement.lang = language;
  document.querySelector(".skip").textContent = words.skip;
  document.getElementById("nav").setAttribute("aria-label", words.nav);
  document.getElementById("offline").textContent = words.offline;
  document.querySelector(".foot p").textContent = words.footer;
  useWords(texts.shared);
  writeFor(locale);
}

/** Show in the footer of every view how to reach the school, and where its terms are. */
async function showSchool() {
  const links = schoolLinks(await getCatalog());
  document.getElementById("school").replaceChildren(...(links ? [links] : []));
}

async function start() {
  speak();
  for (const name of ["online", "offline"]) window.addEventListener(name, showWhetherOffline);
  showWhetherOffline();
  const response = await fetch("/config.json");
  config = await response.json();
  const { arrival: arrivedWith, failure } = await handleArrival();
  arrival = arrivedWith;
  listen();
  showSchool().catch(() => {}); // a view that needs the catalog shows the error
  setTimeout(loadTheRest, LOAD_THE_REST_MS);
  const erasure = sessionStorage.getItem(ERASURE) && (await import("./erasure.js")).takeErasure();
  if (failure || erasure) showHeader(config);
  if (failure) showFailedSignIn(failure);
  else if (erasure) (await import("./erasure.js")).showErasure(main, erasure);
  else showView();
}

/** How the student came back from Stripe or from the hosted sign-in, which add a query to the address. */
const handleArrival = async () => (location.search ? (await import("./arrival.js")).handleArrival(config) : {});

/** Load Stripe.js on every view, for its fraud signals, and the modules of the other views. A view shows its errors. */
function loadTheRest() {
  const rest = [
    import("../shared/session_end.js").then(({ warnBeforeSessionEnds }) => warnBeforeSessionEnds(config.sign_in)),
    import("./stripe.js").then(({ loadStripe }) => loadStripe(config)),
    ...laterModules.map((load) => load()),
  ];
  for (const module of rest) module.catch(() => {});
}

function showFailedSignIn({ message, returnTo }) {
  const links = [
    h("a", { class: "button", href: returnTo }, words.sign_in_again),
    h("a", { href: "#/" }, words.browse),
  ];
  show(main, words.not_signed_in, note("bad", h("p", {}, message)), h("p", { class: "row" }, ...links));
}

start().catch((error) => {
  console.error(error);
  show(
    main,
    words.not_loaded,
    note("bad", h("p", {}, words.not_loaded_why)),
    h("p", {}, h("button", { type: "button", onclick: () => location.reload() }, words.reload)),
  );
});
