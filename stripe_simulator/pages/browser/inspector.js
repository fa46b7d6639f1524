// Comfort for the inspector, which works without it: "/" searches, times say how long ago they were, JSON can be
// copied, and lists that show the newest rows stay current.
"use strict";

const REFRESH_MS = 2000;
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
const ago = new Intl.RelativeTimeFormat("en", { numeric: "always" });

function relative(time) {
  const seconds = (Date.parse(time) - Date.now()) / 1000;
  const [unit, length] = UNITS.find(([, size]) => Math.abs(seconds) >= size) ?? UNITS.at(-1);
  return ago.format(Math.trunc(seconds / length), unit);
}

function addCopyButton(box) {
  const frame = document.createElement("div");
  const button = document.createElement("button");
  frame.className = "box";
  button.className = "copy";
  button.type = "button";
  button.textContent = "Copy";
  box.replaceWith(frame);
  frame.append(box, button);
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(box.textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}

function prepare(root) {
  for (const time of root.querySelectorAll("time")) {
    time.title = `${relative(time.dateTime)}, ${new Date(time.dateTime).toLocaleString()} in your time zone`;
  }
  for (const box of root.querySelectorAll(".json")) addCopyButton(box);
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.ctrlKey || event.metaKey || event.target.closest("input, select, textarea")) return;
  event.preventDefault();
  document.getElementById("q").focus();
});

const main = document.querySelector("main");
let newest = main.innerHTML;

async function refresh() {
  const isBusy = document.hidden || main.contains(document.activeElement) || String(getSelection()) || scrollY > 200;
  if (isBusy) return;
  try {
    const response = await fetch(location.href, { headers: { Accept: "text/html" } });
    const next = new DOMParser().parseFromString(await response.text(), "text/html").querySelector("main");
    if (!response.ok || !next || next.innerHTML === newest) return;
    newest = next.innerHTML;
    main.replaceChildren(...next.childNodes);
    prepare(main);
  } catch {
    // The simulator has stopped: the page stays as it is, and the next try may succeed.
  }
}

prepare(main);
if ("live" in main.dataset) setInterval(refresh, REFRESH_MS);
