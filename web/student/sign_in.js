// The sign-in view of the student page.
import { h, note, show } from "../shared/dom.js";
import { signInPanel } from "../shared/sign_in.js";
import { texts } from "./text.js";

const words = texts.sign_in;

/**
 * Show the sign-in, below `about`, an element with what the student is about to do. `onSignIn` is called after a local
 * sign-in; the hosted one leads back to the current view.
 */
export function showSignIn({ main, config, message, about, onSignIn }) {
  const panel = signInPanel({
    config,
    intro: words.intro,
    returnTo: () => location.hash,
    localEmail: "ada@example.org",
    onSignIn,
  });
  show(
    main,
    words.title,
    message && note("info", h("p", {}, message)),
    about,
    h("div", { class: "panel narrow" }, panel),
  );
}
