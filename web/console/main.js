// The console: who is signed in, which view is shown, and what stands around it.
import * as session from "../shared/session.js";
import { read, forgetDrafts } from "./api.js";
import { Attention } from "./attention.js";
import { Disputes } from "./disputes.js";
import { Exports } from "./exports.js";
import { zoneName } from "./format.js";
import { html, render, useEffect, useState } from "./html.js";
import { Help, useKeys } from "./keys.js";
import { Empty, Trouble } from "./parts.js";
import { Payment } from "./payment.js";
import { Payments } from "./payments.js";
import { remember, to, usePlace } from "./place.js";
import { Quarantine } from "./quarantine.js";
import { NoPermission, SignIn } from "./sign_in.js";
import { User } from "./user.js";

const LINKS = [
  ["payments", "Payments"],
  ["attention", "Attention"],
  ["disputes", "Disputes"],
  ["quarantine", "Quarantine"],
  ["exports", "Exports"],
];
const LISTS = {
  "": Payments,
  payments: Payments,
  attention: Attention,
  disputes: Disputes,
  quarantine: Quarantine,
  exports: Exports,
};
const SINGLES = { payments: Payment, users: User, exports: Exports };

/** Who is signed in, and what they may do. The token is only read here: the API decides. */
function signedIn(config) {
  const person = session.person(config.sign_in.groups_claim);
  if (!person) return null;
  const decides = person.groups.includes("admin");
  return { ...person, decides, staff: decides || person.groups.includes("support") };
}

function App({ config, message }) {
  const { path, query } = usePlace();
  const [out, setOut] = useState(message);
  const [help, showHelp] = useState(false);
  useKeys();
  useEffect(() => {
    const over = ({ detail }) => setOut(detail.message);
    const asked = () => showHelp(true);
    window.addEventListener("signed-out", over);
    window.addEventListener("help", asked);
    return () => {
      window.removeEventListener("signed-out", over);
      window.removeEventListener("help", asked);
    };
  }, []);
  const staff = signedIn(config);
  const inside = staff && !out;
  return html`
    <a class="skip" href="#main" onClick=${skip}>Skip to the content</a>
    <${Header} config=${config} staff=${staff} here=${path[0]} inside=${inside} help=${() => showHelp(true)} />
    <main id="main" tabindex="-1">
      ${!inside && html`<${SignIn} config=${config} message=${out} done=${() => setOut("")} />`}
      ${inside && !staff.staff && html`<${NoPermission} staff=${staff} config=${config} />`}
      ${inside && staff.staff && html`<${View} path=${path} query=${query} staff=${staff} />`}
    </main>
    <footer class="foot">Times in ${zoneName()}, UTC on hover. Days of filters and counts are whole UTC days.</footer>
    ${help && html`<${Help} close=${() => showHelp(false)} />`}`;
}

function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

/** The view of a place, its title, and the focus on its heading when it is another than before. */
function View({ path, query, staff }) {
  const [name, id] = path;
  const views = id ? SINGLES : LISTS;
  const Found = Object.hasOwn(views, name) ? views[name] : undefined;
  useEffect(() => {
    const heading = document.querySelector("h1");
    document.title = `${heading?.textContent ?? "Console"} · Tuition console`;
    heading?.focus({ preventScroll: true });
  }, [name, id]);
  if (Found && !id) remember();
  if (!Found)
    return html`<h1 tabindex="-1">There is no such page</h1><${Empty} title=""><a href=${to(["payments"])}>See the payments</a><//>`;
  return html`<${Found} key=${`${name}/${id ?? ""}`} id=${id} query=${query} staff=${staff} />`;
}

function Header({ config, staff, here, inside, help }) {
  const shown = inside && staff.staff;
  const leave = () => {
    forgetDrafts();
    session.signOut(config.sign_in, location.pathname);
  };
  return html`<header class="top">
    <a class="brand" href=${to(["payments"])}><img src="../icon.svg" alt="" width="22" height="22" /> Tuition <span>console</span></a>
    ${
      shown &&
      html`<nav aria-label="Main"><ul>${LINKS.map(
        ([name, text]) => html`<li key=${name}>
      <a href=${to([name])} aria-current=${name === (here || "payments") ? "page" : undefined}>${text}${name === "attention" && html`<${Waiting} />`}</a></li>`,
      )}</ul></nav>`
    }
    <span class="grow"></span>
    ${
      inside &&
      html`<span class="who" title=${staff.sub}>${staff.email ?? staff.sub}</span>
      <span class="chip">${staff.decides ? "admin" : staff.staff ? "support, reads only" : "no staff"}</span>
      ${shown && html`<button type="button" class="quiet" onClick=${help}>Keys</button>`}
      <button type="button" class="quiet" onClick=${leave}>Sign out</button>`
    }
  </header>`;
}

/** How many payments need a person, as far as one page tells. */
function Waiting() {
  const [count, set] = useState("");
  useEffect(() => {
    const ask = () =>
      read("/admin/attention/", { limit: 20 }).then(
        ({ payments, next_cursor: more }) => set(payments.length ? `${payments.length}${more ? "+" : ""}` : ""),
        () => set(""),
      );
    ask();
    window.addEventListener("decided", ask);
    return () => window.removeEventListener("decided", ask);
  }, []);
  return count && html`<span class="count">${count}<span class="visually-hidden"> to decide</span></span>`;
}

async function begin() {
  const config = await (await fetch("/config.json")).json();
  render(html`<${App} config=${config} />`, document.body);
}

begin().catch((error) =>
  render(html`<main><h1>The console did not start</h1><${Trouble} error=${error} /></main>`, document.body),
);
