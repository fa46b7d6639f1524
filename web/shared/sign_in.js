// The sign-in of both apps: Cognito's hosted page in production, any email address on a local stack.
import { action, h } from "./dom.js";
import * as session from "./session.js";
import { words } from "./words.js";

/**
 * The sign-in as an element. `returnTo` is where the hosted page leads back to; `onSignIn` is called after a local
 * sign-in. `roles` are `[group, label]` to choose from on a local stack, the first one by default. `mayRegister` offers the
 * hosted page for new users too.
 */
export function signInPanel({ config, intro, returnTo, localEmail, roles = [], mayRegister = false, onSignIn }) {
  return config.sign_in.kind === "cognito"
    ? hosted(config, intro, returnTo, mayRegister)
    : local({ email: localEmail, roles, onSignIn });
}

function hosted(config, intro, returnTo, mayRegister) {
  const leave = (page) => session.startHostedSignIn(config.sign_in, returnTo(), page);
  return h(
    "div",
    {},
    h("p", {}, intro),
    action(words.sign_in, () => leave(), { class: "wide" }),
    mayRegister && action(words.create_account, () => leave("signup"), { class: "wide quiet" }),
  );
}

function local({ email, roles, onSignIn }) {
  const address = h("input", { id: "email", type: "email", autocomplete: "email", required: true, value: email });
  const role = h(
    "select",
    { id: "role" },
    roles.map(([group, label]) => h("option", { value: group }, label)),
  );
  const error = h("p", { class: "error", role: "alert" });
  const submit = async (event) => {
    event.preventDefault();
    try {
      await session.signInLocally(address.value.trim(), role.value ? [role.value] : []);
    } catch (failure) {
      error.textContent = failure.message;
      return;
    }
    await onSignIn();
  };
  return h(
    "form",
    { onsubmit: submit },
    h("p", {}, words.sign_in_locally),
    h("label", { for: "email" }, words.email_address),
    address,
    roles.length > 0 && [h("label", { for: "role" }, words.role), role],
    error,
    h("button", { type: "submit", class: "wide" }, words.sign_in),
  );
}
