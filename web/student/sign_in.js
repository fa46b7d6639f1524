// The sign-in view of the student page.
import { h, note, show } from "../shared/dom.js";
import { signInPanel } from "../shared/sign_in.js";

const INTRO = "Sign in or create an account to enroll. We’ll bring you right back here.";

/** Show the sign-in. `onSignIn` is called after a local sign-in; the hosted one leads back to the current view. */
export function showSignIn({ main, config, message, onSignIn }) {
  const panel = signInPanel({
    config,
    intro: INTRO,
    returnTo: () => location.hash,
    localEmail: "ada@example.org",
    onSignIn,
  });
  show(
    main,
    "Sign in",
    message && note("info", h("p", {}, message)),
    h("div", { class: "panel narrow" }, panel),
  );
}
