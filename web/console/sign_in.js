// Signing in, and what somebody sees who is signed in and is no staff.
import * as session from "../shared/session.js";
import { html, useState } from "./html.js";

const ROLES = [
  ["admin", "admin: reads and decides"],
  ["support", "support: reads"],
  ["", "a student: no staff"],
];

export function SignIn({ config, message, done }) {
  return html`<div class="narrow">
    <h1 tabindex="-1">Sign in</h1>
    ${message && html`<p class="note" role="status">${message}</p>`}
    <div class="panel">${config.sign_in.kind === "cognito" ? html`<${Hosted} config=${config} />` : html`<${Local} done=${done} />`}</div>
  </div>`;
}

function Hosted({ config }) {
  return html`<p>The school’s sign-in opens, and leads back to where you are.</p>
    <button type="button" onClick=${() => session.signInHosted(config.sign_in, `${location.pathname}${location.hash}`)}>Sign in</button>`;
}

function Local({ done }) {
  const [email, setEmail] = useState("grace@example.org");
  const [role, setRole] = useState("admin");
  const [trouble, setTrouble] = useState("");
  const submit = async (event) => {
    event.preventDefault();
    try {
      await session.signInLocally(email.trim(), role ? [role] : []);
    } catch (error) {
      setTrouble(error.message);
      return;
    }
    done();
  };
  return html`<form onSubmit=${submit}>
    <p>This is the stack on your own machine: be whoever you like.</p>
    <label for="email">E-mail address</label>
    <input id="email" type="email" autocomplete="email" required value=${email} onInput=${(event) => setEmail(event.target.value)} />
    <label for="role">Role</label>
    <select id="role" value=${role} onChange=${(event) => setRole(event.target.value)}>
      ${ROLES.map(([value, text]) => html`<option key=${value} value=${value}>${text}</option>`)}
    </select>
    ${trouble && html`<p class="note bad" role="alert">${trouble}</p>`}
    <div class="actions"><button type="submit">Sign in</button></div>
  </form>`;
}

export function NoPermission({ staff, config }) {
  return html`<div class="narrow">
    <h1 tabindex="-1">This console is for staff</h1>
    <div class="panel">
      <p>You are signed in as <strong>${staff.email ?? staff.sub}</strong>, who belongs to neither the group <code>admin</code> nor <code>support</code>. Nothing is shown, and the API would refuse it too (403).</p>
      <p>If you work for the school, ask an administrator to add you to a group, then sign in again. Your own payments are on the <a href="/">student page</a>.</p>
      <div class="actions"><button type="button" onClick=${() => session.signOut(config.sign_in, location.pathname)}>Sign in as somebody else</button></div>
    </div>
  </div>`;
}
