// The sign-in of the console, and what a user without staff access sees.
import * as session from "../shared/session.js";
import { signInPanel } from "../shared/sign_in.js";
import { html, useLayoutEffect, useRef } from "./preact.js";

const INTRO = "Sign in with your staff account. We’ll bring you right back here.";
const ROLES = [
  ["admin", "admin: views and decides"],
  ["support", "support: views only"],
  ["", "student: no staff access"],
];

export function SignIn({ config, message, onSignIn }) {
  const panel = useRef(null);
  useLayoutEffect(() => {
    const returnTo = () => `${location.pathname}${location.hash}`;
    panel.current.replaceChildren(
      signInPanel({ config, intro: INTRO, returnTo, localEmail: "grace@example.org", roles: ROLES, onSignIn }),
    );
  }, []);
  return html`<div class="narrow">
    <h1 tabindex="-1">Sign in</h1>
    ${message && html`<p class="note" role="status">${message}</p>`}
    <div class="panel" ref=${panel}></div>
  </div>`;
}

export function NoStaffAccess({ user, config }) {
  const signOut = () => session.signOut(config.sign_in, location.pathname);
  return html`<div class="narrow">
    <h1 tabindex="-1">This console is for staff</h1>
    <div class="panel">
      <p>You’re signed in as <strong>${user.email ?? user.sub}</strong>, but this account has no staff access.</p>
      <p>If you work here, ask an administrator to add you to the group <code>admin</code> or <code>support</code>, then sign in again. Your own payments are on the <a href="/">student page</a>.</p>
      <div class="actions"><button type="button" onClick=${signOut}>Sign in with another account</button></div>
    </div>
  </div>`;
}
