// The console: choosing the view, and who is signed in.
import { timeZone } from "../shared/format.js";
import * as session from "../shared/session.js";
import { Attention } from "./attention.js";
import { Books } from "./books.js";
import { Empty, ErrorMessage, useOnline } from "./components.js";
import { Disputes } from "./disputes.js";
import { Exports } from "./exports.js";
import { useFocusOfView, useHeading } from "./focus.js";
import { Header } from "./header.js";
import { ShortcutHelp, useKeyboard } from "./keyboard.js";
import { Overview } from "./overview.js";
import { Payment } from "./payment.js";
import { Payments } from "./payments.js";
import { html, render, useLayoutEffect, useState } from "./preact.js";
import { Quarantine } from "./quarantine.js";
import { RefundRequests } from "./refund_requests.js";
import { rememberList, rememberPayment, routeTo, useRoute } from "./route.js";
import { useRows } from "./rows.js";
import { Selling, SellingBanner } from "./selling.js";
import { NoStaffAccess, SignIn } from "./sign_in.js";
import { Statement } from "./statement.js";
import { User } from "./user.js";

const LIST_VIEWS = {
  overview: Overview,
  payments: Payments,
  attention: Attention,
  "refund-requests": RefundRequests,
  disputes: Disputes,
  books: Books,
  statement: Statement,
  quarantine: Quarantine,
  exports: Exports,
  selling: Selling,
};
const DETAIL_VIEWS = { payments: Payment, users: User, exports: Exports };

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
  const onSignIn = () => {
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
      ${signedIn && user.isStaff && html`<${SellingBanner} />`}
      ${signedIn && user.isStaff && html`<${View} path=${path} query=${query} staff=${user} />`}
    </main>
    <footer class="foot">Times shown in ${timeZone()}. Date filters use UTC days.</footer>
    ${helpOpen && html`<${ShortcutHelp} close=${() => setHelpOpen(false)} />`}`;
}

function skipToContent(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

/** The view of a route. */
function View({ path, query, staff }) {
  const [name, id] = path;
  const views = id ? DETAIL_VIEWS : LIST_VIEWS;
  const CurrentView = Object.hasOwn(views, name) ? views[name] : undefined;
  useFocusOfView(`${name}/${id ?? ""}`);
  if (CurrentView && !id) rememberList();
  if (CurrentView === Payment) rememberPayment();
  if (!CurrentView)
    return html`<h1 tabindex="-1">Page not found</h1><${Empty} title=""><a href=${routeTo(["overview"])}>Go to Overview</a><//>`;
  return html`<${CurrentView} key=${`${name}/${id ?? ""}`} id=${id} query=${query} staff=${staff} />`;
}

async function start() {
  const config = await (await fetch("/config.json")).json();
  render(html`<${App} config=${config} />`, document.body);
}

start().catch((error) =>
  render(html`<main><h1>The console did not start</h1><${ErrorMessage} error=${error} /></main>`, document.body),
);
