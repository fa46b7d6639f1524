// A warning before the session ends, from which the user stays signed in without losing what they have typed.
// https://www.w3.org/WAI/WCAG22/Understanding/timing-adjustable.html
import { announce, h } from "./dom.js";
import { timeOfDay } from "./format.js";
import * as session from "./session.js";
import { words } from "./words.js";

const WARNING_MS = 5 * 60_000;
const CHECK_MS = 5_000; // a timer for the moment itself would be late after the computer has slept

/** Watch the session of this tab. The warning is the last thing on the page, and always in view. */
export function warnBeforeSessionEnds(signIn) {
  const text = h("span", {});
  const button = h("button", { type: "button", class: "quiet small" }, words.stay_signed_in);
  const banner = h("div", { class: "session", role: "alert", hidden: true }, text, button);
  let user, endsAt, focusedBefore;

  function check() {
    const current = session.currentUser();
    if (current) [user, endsAt] = [current, session.endsAt()];
    if (!user || Date.now() < endsAt - WARNING_MS) hide();
    else {
      banner.hidden = false;
      const sentence = Date.now() < endsAt ? words.session_ends(timeOfDay(endsAt, "short")) : words.session_ended;
      if (text.textContent !== sentence) text.textContent = sentence;
    }
  }

  function hide() {
    if (banner.hidden) return;
    const hadFocus = banner.contains(document.activeElement);
    banner.hidden = true;
    text.textContent = "";
    if (hadFocus) (focusedBefore?.isConnected ? focusedBefore : document.querySelector("h1"))?.focus();
  }

  button.addEventListener("focus", ({ relatedTarget }) => {
    focusedBefore = relatedTarget;
  });
  button.addEventListener("click", () => session.renew(signIn, user));
  session.onRenewal((renewed) => {
    if (renewed.sub !== user?.sub) return false; // another tab may have another user
    setTimeout(() => {
      check();
      announce(words.session_renewed);
    });
    return true;
  });
  window.addEventListener("session-expired", () => {
    user = undefined; // the page asks to sign in
    hide();
  });
  document.body.append(banner);
  setInterval(check, CHECK_MS);
  check();
}
