// The heading of the view: it names the tab, and gets the focus if the focused element was removed.
import { useLayoutEffect } from "./preact.js";

let hasNavigated = false;

/** Focus the heading, so that keyboards and screen readers continue there. */
export const focusHeading = () => document.querySelector("h1")?.focus({ preventScroll: true });

/** The name of the tab: the heading's `data-title`, or its text. */
const titleOf = (heading) => `${heading?.dataset.title ?? heading?.textContent ?? "Console"} · Tuition console`;

/**
 * Keep the title and the focus while views replace their content. A view shows its data when they arrive, and a list
 * its next page: if the focused element was replaced, the heading gets the focus, and not the beginning of the page.
 */
export function useHeading() {
  useLayoutEffect(() => {
    const main = document.getElementById("main");
    let focused;
    const onFocus = ({ target }) => {
      focused = target;
    };
    const follow = () => {
      const heading = main.querySelector("h1");
      if (document.title !== titleOf(heading)) document.title = titleOf(heading);
      const isLost = focused && !focused.isConnected && document.activeElement === document.body;
      if (isLost && !document.querySelector("dialog[open]")) focusHeading();
    };
    const observer = new MutationObserver(follow);
    observer.observe(main, { childList: true, subtree: true, characterData: true });
    document.addEventListener("focusin", onFocus);
    follow();
    return () => {
      observer.disconnect();
      document.removeEventListener("focusin", onFocus);
    };
  }, []);
}

/**
 * Focus the heading when the view changes, unless a field of it has the focus. Not for the first view of a page: the
 * first Tab leads to the skip link.
 */
export function useFocusOfView(view) {
  useLayoutEffect(() => {
    if (hasNavigated && !document.activeElement?.matches("main input")) focusHeading();
    hasNavigated = true;
  }, [view]);
}
