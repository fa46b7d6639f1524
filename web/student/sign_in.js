// The sign-in view of the student page.
import { h, note, show } from "../shared/dom.js";
import { currentUser } from "../shared/session.js";
import { signInPanel } from "../shared/sign_in.js";
import { orderPreview } from "./order_panel.js";
import { texts } from "./text.js";

const words = texts.sign_in;

/** The view `#/sign-in/payments/pay_1`: sign in, then go to `#/payments/pay_1`. */
export async function signInView({ main, config }, ...path) {
  const returnTo = `#/${path.filter(Boolean).join("/")}`;
  const leave = () => location.replace(returnTo);
  if (currentUser()) leave();
  else showSignIn({ main, config, returnTo, onSignIn: leave });
}

/**
 * Show the sign-in, beside the track that the visitor is about to buy, if they are. `onSignIn` is called after a local
 * sign-in; the hosted one leads back to `returnTo`.
 */
export function showSignIn({ main, config, message, returnTo = location.hash, onSignIn }) {
  const [, track] = /^#\/buy\/(\w+)/.exec(returnTo) ?? [];
  const panel = signInPanel({
    config,
    intro: words.intro,
    returnTo: () => returnTo,
    localEmail: "ada@example.org",
    mayRegister: true,
    onSignIn,
  });
  show(
    main,
    words.title,
    message && note("info", h("p", {}, message)),
    track
      ? h("div", { class: "columns" }, h("div", { class: "panel" }, panel), orderPreview(track))
      : h("div", { class: "panel narrow" }, panel),
  );
}
