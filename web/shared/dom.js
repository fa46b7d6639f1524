// Creating elements and announcing changes. There is no other way to create an element, so text is never markup.

/** An element: `h("button", {class: "quiet", onclick: f, "aria-busy": true}, "Pay")`. Skips false, null and undefined. */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && typeof value === "boolean") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== undefined && child !== null && child !== false));
  return element;
}

/** A line drawing, hidden from screen readers because the text beside it says the same. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  for (const [key, value] of Object.entries({
    viewBox: "0 0 24 24",
    class: `icon icon-${name}`,
    "aria-hidden": "true",
  }))
    svg.setAttribute(key, value);
  for (const d of DRAWINGS[name]) {
    const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

const DRAWINGS = {
  check: ["M5 12.5 10 17.5 19 7"],
  lock: ["M7 11V8a5 5 0 0 1 10 0v3", "M5.5 11h13v9h-13z"],
  card: ["M3 6h18v12H3z", "M3 10h18", "M6.5 14.5h4"],
  bank: ["M4 10 12 4l8 6z", "M6 10v8", "M10 10v8", "M14 10v8", "M18 10v8", "M3.5 20h17"],
  data: ["M4 20V10", "M10 20V4", "M16 20v-8", "M21 20H3"],
  code: ["M8 7 3 12l5 5", "M16 7l5 5-5 5", "M13.5 5l-3 14"],
  shield: ["M12 3 5 6v6c0 4.5 3 7.5 7 9 4-1.5 7-4.5 7-9V6z", "M9 12l2.2 2.2L15.2 10"],
  clock: ["M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18z", "M12 7.5V12l3 2"],
  alert: ["M12 4 2.8 20h18.4z", "M12 10v4.5", "M12 17.4v.2"],
  back: ["M9 6 4 11l5 5", "M4 11h9a6 6 0 0 1 6 6v2"],
  hourglass: ["M6 3h12", "M6 21h12", "M7.5 3c0 5 4.5 6 4.5 9s-4.5 4-4.5 9", "M16.5 3c0 5-4.5 6-4.5 9s4.5 4 4.5 9"],
  close: ["M6 6l12 12", "M18 6 6 18"],
  leave: ["M10 4H5v16h5", "M10 12h10", "M16 8l4 4-4 4"],
  print: ["M7 9V4h10v5", "M7 17H4V9h16v8h-3", "M7 14h10v6H7z"],
  out: ["M13 5h6v6", "M19 5l-8 8", "M10 6H5v13h13v-5"],
};

/** Tell screen readers about a change without moving the focus. */
export function announce(text) {
  const live = document.getElementById("live");
  live.textContent = "";
  setTimeout(() => {
    live.textContent = text;
  }, 50);
}

let isUsed = false;
for (const name of ["click", "submit", "hashchange"])
  window.addEventListener(name, () => { isUsed = true; }, { capture: true, once: true });

/**
 * Show a view and focus its heading, so that keyboards and screen readers continue there. The first view of a page that
 * was just loaded leaves the focus at the start of the page, so that the first Tab reaches the skip link.
 */
export function show(main, title, ...content) {
  const heading = h("h1", { tabindex: "-1" }, title);
  main.replaceChildren(heading, ...content.flat().filter(Boolean));
  if (!main.isConnected) return; // the user has moved on to another view
  document.title = `${title} · Tuition`;
  if (isUsed) heading.focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

/** Show an error at its field, with the focus and in the live region; an empty text takes it back. */
export function showFieldError(input, element, text) {
  element.textContent = text;
  input.setAttribute("aria-invalid", String(Boolean(text)));
  if (!text) return;
  announce(text);
  input.focus();
}

/** A box with an important message: kind `info`, `good` or `bad`. Screen readers read a bad one immediately. */
export function note(kind, ...content) {
  const drawing = { info: "clock", good: "check", bad: "alert" }[kind];
  return h(
    "div",
    { class: `note ${kind}`, role: kind === "bad" ? "alert" : undefined },
    icon(drawing),
    h("div", {}, ...content),
  );
}

/** A spinner with a text, shown while something loads. */
export function loading(text) {
  return h("p", { class: "waiting" }, h("span", { class: "spinner", "aria-hidden": "true" }), text);
}

/** A button that runs `work` once at a time. If `work` throws, `onError` shows the error. */
export function action(text, work, { onError = undefined, ...props } = {}) {
  const button = h("button", { type: "button", ...props }, text);
  button.addEventListener("click", async () => {
    if (button.getAttribute("aria-busy") === "true") return;
    button.setAttribute("aria-busy", "true");
    try {
      await work();
    } catch (error) {
      if (!onError) throw error;
      onError(error);
    } finally {
      button.removeAttribute("aria-busy");
    }
  });
  return button;
}
