// The header: the navigation, and who is signed in. Links that need more than one line are in menus.
import * as session from "../shared/session.js";
import { discardDrafts, get, refresh, useVisibleInterval } from "./api.js";
import { html, useEffect, useRef, useState } from "./preact.js";
import { routeTo } from "./route.js";

const DAILY_LINKS = [
  ["overview", "Overview"],
  ["payments", "Payments"],
  ["attention", "Attention"],
  ["refund-requests", "Refund requests"],
  ["disputes", "Disputes"],
];
const OTHER_LINKS = [
  ["plans", "Plans"],
  ["forecast", "Forecast"],
  ["books", "Books"],
  ["statement", "Statement"],
  ["quarantine", "Quarantine"],
  ["exports", "Exports"],
  ["activity", "Activity"],
  ["selling", "Selling"],
  ["collecting", "Collecting"],
];
const NARROW = matchMedia("(max-width: 62rem)");

/** The queues whose length the navigation shows: each route with the name of its list, and what the number counts. */
const COUNTED = {
  attention: {
    lists: [
      ["/admin/attention", "payments"],
      ["/admin/plans", "plans", { attention: "true" }],
    ],
    meaning: "need attention",
  },
  "refund-requests": { lists: [["/admin/refund-requests", "refund_requests"]], meaning: "await approval" },
};

export function Header({ config, user, view, signedIn, showHelp }) {
  return html`<header class="top">
    <a class="brand" href=${routeTo(["overview"])}><img src="../icon.svg" alt="" width="22" height="22" /> <b>Tuition</b> <span>console</span></a>
    ${signedIn && user.isStaff && html`<${Navigation} view=${view} />`}
    <span class="grow"></span>
    ${signedIn && html`<${Account} config=${config} user=${user} showHelp=${showHelp} />`}
  </header>`;
}

/** The links to all views. A narrow window has all of them in one menu, any other the rarely used ones. */
function Navigation({ view }) {
  const isNarrow = useNarrow();
  const inMenu = isNarrow ? [...DAILY_LINKS, ...OTHER_LINKS] : OTHER_LINKS;
  const [, current] = inMenu.find(([name]) => name === view) ?? [];
  const link = ([name, text]) => html`<li key=${name}>
    <a href=${routeTo([name])} aria-current=${name === view ? "page" : undefined} onClick=${refreshCurrent}>${text}${COUNTED[name] && html`<${Count} ...${COUNTED[name]} />`}</a></li>`;
  return html`<nav aria-label="Main">
    ${!isNarrow && html`<ul class="links">${DAILY_LINKS.map(link)}</ul>`}
    <${Menu} key=${isNarrow} id="more-views" text=${isNarrow ? "Menu" : "More"} current=${current}><ul>${inMenu.map(link)}</ul><//>
  </nav>`;
}

/** A click on a link to the current address changes no address, so it loads the view again. */
const refreshCurrent = ({ currentTarget }) => currentTarget.hash === location.hash && refresh();

function useNarrow() {
  const [isNarrow, set] = useState(NARROW.matches);
  useEffect(() => {
    const update = () => set(NARROW.matches);
    update();
    NARROW.addEventListener("change", update);
    return () => NARROW.removeEventListener("change", update);
  }, []);
  return isNarrow;
}

function Account({ config, user, showHelp }) {
  const signOut = () => {
    discardDrafts();
    session.signOut(config.sign_in, location.pathname);
  };
  const role = user.decides ? "admin" : user.isStaff ? "support, view only" : "no staff access";
  const name = user.email ?? user.sub;
  return html`<span class="chip">${role}</span>
    <${Menu} id="account" text=${name} label=${`Account of ${name}`} end>
      <p class="small">Signed in as<br /><strong>${name}</strong>, ${role}</p>
      ${user.isStaff && html`<button type="button" class="quiet" onClick=${showHelp}>Shortcuts</button>`}
      <button type="button" class="quiet" onClick=${signOut}>Sign out</button>
    <//>`;
}

/**
 * A button that shows and hides what is below it, as in the disclosure pattern of
 * https://www.w3.org/WAI/ARIA/apg/patterns/disclosure/. Escape, a click elsewhere, a choice, and a focus that leaves it
 * close it. `current` is the chosen entry, which the button names.
 */
function Menu({ id, text, label, current, end = false, children }) {
  const [isOpen, setOpen] = useState(false);
  const element = useRef(null);
  const button = useRef(null);
  useEffect(() => {
    if (!isOpen) return undefined;
    const onOutside = ({ target }) => element.current.contains(target) || setOpen(false);
    const onRoute = () => setOpen(false);
    document.addEventListener("pointerdown", onOutside);
    document.addEventListener("focusin", onOutside);
    window.addEventListener("hashchange", onRoute);
    return () => {
      document.removeEventListener("pointerdown", onOutside);
      document.removeEventListener("focusin", onOutside);
      window.removeEventListener("hashchange", onRoute);
    };
  }, [isOpen]);
  const onKeyDown = (event) => {
    if (event.key !== "Escape" || !isOpen) return;
    event.preventDefault();
    setOpen(false);
    button.current.focus();
  };
  const onChoice = ({ target }) => {
    if (!target.closest("a, button")) return;
    setOpen(false);
    button.current.focus(); // before the choice acts: a dialog gives the focus back to it, a view takes it
  };
  return html`<div class=${`menu ${end ? "end" : ""}`} ref=${element} onKeyDown=${onKeyDown}>
    <button type="button" ref=${button} class=${current ? "current" : ""} aria-label=${label} aria-expanded=${isOpen ? "true" : "false"} aria-controls=${id}
      onClick=${() => setOpen(!isOpen)}><span class="text">${text}${current && html`: <strong>${current}</strong>`}</span></button>
    <div class="sheet" id=${id} hidden=${!isOpen} onClickCapture=${onChoice}>${children}</div>
  </div>`;
}

/** The length of a queue, as "20+" if it is longer. Its place is kept free, so that nothing moves when it arrives. */
function Count({ lists, meaning }) {
  const [count, setCount] = useState("");
  const load = async () => {
    try {
      const pages = await Promise.all(lists.map(([path, , query]) => get(path, { ...query, limit: 20 })));
      const length = pages.reduce((sum, page, index) => sum + page[lists[index][1]].length, 0);
      setCount(`${Math.min(length, 20)}${length > 20 || pages.some((page) => page.next_cursor) ? "+" : ""}`);
    } catch {
      setCount("");
    }
  };
  useVisibleInterval(load);
  useEffect(() => {
    load();
    for (const event of ["payment-changed", "refresh"]) window.addEventListener(event, load);
    return () => {
      for (const event of ["payment-changed", "refresh"]) window.removeEventListener(event, load);
    };
  }, []);
  return html`<span class="count">${count && html`<b class=${count === "0" ? "zero" : ""}>${count}</b><span class="visually-hidden"> ${meaning}</span>`}</span>`;
}
