// Signing in: the hosted page in production, a name on this machine.
import { action, h, note, show } from "../shared/dom.js";
import * as session from "../shared/session.js";

/** Ask to sign in; `done` is called here, or after the hosted page has led back to this place. */
export function signIn({ main, config, message, done }) {
  const said = message && note("info", h("p", {}, message));
  const content = config.sign_in.kind === "cognito" ? hosted(config) : local(done);
  show(main, "Sign in", said, h("div", { class: "panel narrow" }, content));
}

function hosted(config) {
  return h(
    "div",
    {},
    h("p", {}, "The school’s sign-in opens, and leads back to where you are."),
    action("Sign in", () => session.signInHosted(config.sign_in, location.hash), { class: "wide" }),
  );
}

function local(done) {
  const email = h("input", {
    id: "email",
    type: "email",
    autocomplete: "email",
    required: true,
    value: "ada@example.org",
  });
  const trouble = h("p", { class: "error", role: "alert" });
  return h(
    "form",
    {
      onsubmit: async (event) => {
        event.preventDefault();
        try {
          await session.signInLocally(email.value.trim());
        } catch (error) {
          trouble.textContent = error.message;
          return;
        }
        await done();
      },
    },
    h("p", {}, "This is the stack on your own machine: be whoever you like."),
    h("label", { for: "email" }, "E-mail address"),
    email,
    trouble,
    h("button", { type: "submit", class: "wide" }, "Sign in"),
  );
}
