// The API reference: it reads the OpenAPI document and shows every operation and type.
import { h, loading, note } from "../shared/dom.js";
import { operationCard } from "./operation.js";
import { prose, typeCard } from "./types.js";

const DOCUMENT = "../api/openapi.json";
const METHODS = ["get", "put", "post", "delete", "patch"];

const main = document.getElementById("main");
const nav = document.getElementById("nav");

async function start() {
  main.replaceChildren(loading("Loading the API reference…"));
  try {
    const response = await fetch(DOCUMENT);
    if (!response.ok) throw new Error(`status ${response.status}`);
    show(await response.json());
  } catch (error) {
    console.error(error);
    main.replaceChildren(note("bad", h("p", {}, "The OpenAPI document could not be loaded. Reload the page.")));
  }
}

function show(api) {
  const groups = api.tags.map((tag) => ({ tag, operations: operationsOf(api, tag.name) }));
  const types = Object.entries(api.components.schemas);
  nav.replaceChildren(
    h("details", { open: window.matchMedia("(min-width: 60rem)").matches }, [
      h("summary", {}, "All operations"),
      ...groups.flatMap(({ tag, operations }) => menu(tag.name, operations.map((one) => [one.operationId, one.summary]))),
    ]),
  );
  main.replaceChildren(
    h("h1", { tabindex: "-1" }, `${api.info.title} API ${api.info.version}`),
    ...prose(api.info.description),
    ...groups.flatMap(({ tag, operations }) => [
      h("h2", {}, tag.name),
      ...prose(tag.description),
      ...operations.map((operation) => operationCard(operation, api)),
    ]),
    h("h2", {}, "Types"),
    ...types.map(([name, schema]) => typeCard(name, schema)),
  );
  const target = document.getElementById(location.hash.slice(1)); // every id is ASCII
  if (target && target !== main) target.scrollIntoView();
}

function operationsOf(api, tag) {
  return Object.entries(api.paths).flatMap(([path, methods]) =>
    METHODS.filter((method) => methods[method]?.tags.includes(tag)).map((method) => ({
      ...methods[method],
      method: method.toUpperCase(),
      path,
    })),
  );
}

function menu(title, entries) {
  const links = entries.map(([id, text]) => h("li", {}, h("a", { href: `#${id}` }, text)));
  return [h("p", {}, title), h("ul", {}, ...links)];
}

start();
