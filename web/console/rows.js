// The rows of lists: each opens what its link leads to, wherever it is clicked.
import { useEffect } from "./preact.js";

const HAS_OWN_ACTION = "a, button, input, select, textarea, label, summary";

/** Open the row, or a new tab as the browser does for a link. A click that selects text opens nothing. */
function onClick(event) {
  const { target, button, ctrlKey, metaKey, shiftKey } = event;
  const link = !target.closest(HAS_OWN_ACTION) && target.closest("table.rows tbody tr")?.querySelector("a.open");
  if (!link || button > 1 || String(getSelection())) return;
  event.preventDefault();
  if (button === 1 || ctrlKey || metaKey || shiftKey) window.open(link.href, "_blank", "noopener");
  else link.click();
}

export function useRows() {
  useEffect(() => {
    document.addEventListener("click", onClick);
    document.addEventListener("auxclick", onClick);
    return () => {
      document.removeEventListener("click", onClick);
      document.removeEventListener("auxclick", onClick);
    };
  }, []);
}
