// The console: choosing the view, and who is signed in.
import { timeZone } from "../shared/format.js";
import * as session from "../shared/session.js";
import { warnBeforeSessionEnds } from "../shared/session_end.js";
import { ErrorMessage, useOnline } from "./components.js";
import { useHeading } from "./focus.js";
import { Header } from "./header.js";
import { ShortcutHelp, useKeyboard } from "./keyboard.js";
import { html, render, useLayoutEffect, useState } from "./preact.js";
import { useRoute } from "./route.js";
import { useRows } from "./rows.js";
import { NoStaffAccess, SignIn } from "./sign_in.js";

/** The component with all views. A visitor who has to sign in first does not wait for their modules. */
let View;
const LOAD_VIEWS_MS = 1000; // the sign-in is painted first

async function loadViews() {
  const views = await import("./views.js");
  View = views.View;
  return views;
}

/** Load the modules of all views while the sign-in is shown, so that the first view does not wait for them. */
function loadViewsLater() {
  setTimeout(() => loadViews().then(({ loadAll }) => loadAll(), () => {}), LOAD_VIEWS_MS);
}

/** The signed-in user and their role, as the token names it. The API checks the role itself. */
function signedInUser(config) {
  const { groups_claim: claim, admin_group: admin = "admin", support_group: support = "support" } = config.sign_in;
  const user = session.currentUser(claim);
  if (!user) return null;
  const decides = user.groups.includes(admin);
  return { ...user, decides, isStaff: decides || user.groups.includes(support) };
}

function App({ config }) {
  const { path, query } = useRoute();
  const [expiredMessage, setExpiredMessage] = useState("");
  const [helpOpen, setHelpOpen] = useState(false);
  const [, setSignIns] = useState(0);
  const isOnline = useOnline();
  useKeyboard();
  useHeading();
  useRows();
  useLayoutEffect(() => {
    const onExpired = ({ detail }) => setExpiredMessage(detail.message);
    const onHelp = () => setHelpOpen(true);
    window.addEventListener("session-expired", onExpired);
    window.addEventListener("show-shortcuts", onHelp);
    return () => {
      window.removeEventListener("session-expired", onExpired);
      window.removeEventListener("show-shortcuts", onHelp);
    };
  }, []);
  const onSignIn = async () => {
    await loadViews();
    setExpiredMessage("");
    setSignIns((count) => count + 1); // render again: the token is not part of the state
  };
  const user = signedInUser(config);
  const signedIn = user && !expiredMessage;
  return html`
    <a class="skip" href="#main" onClick=${skipToContent}>Skip to content</a>
    <${Header} config=${config} user=${user} view=${path[0]} signedIn=${signedIn} showHelp=${() => setHelpOpen(true)} />
    <div id="live" class="visually-hidden" role="status"></div>
    <div role="status">${!isOnline && html`<p class="offline">You’re offline. What you see may be out of date. It loads again when you’re back.</p>`}</div>
    <main id="main" tabindex="-1">
      ${!signedIn && html`<${SignIn} config=${config} message=${expiredMessage} onSignIn=${onSignIn} />`}
      ${signedIn && !user.isStaff && html`<${NoStaffAccess} user=${user} config=${config} />`}
      ${signedIn && user.isStaff && html`<${View} path=${path} query=${query} staff=${user} />`}
    </main>
    <footer class="foot">Times shown in ${timeZone()}. Date filters use UTC days.</footer>
    ${helpOpen && html`<${ShortcutHelp} close=${() => setHelpOpen(false)} />`}`;
}

function skipToContent(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

async function start() {
  const config = await (await fetch("/config.json")).json();
  if (signedInUser(config)?.isStaff) await loadViews();
  else loadViewsLater();
  render(html`<${App} config=${config} />`, document.body);
  warnBeforeSessionEnds(config.sign_in);
}

start().catch((error) =>
  render(html`<main><h1>The console did not start</h1><${ErrorMessage} error=${error} /></main>`, document.body),
);
