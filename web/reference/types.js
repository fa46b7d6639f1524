// Types of the OpenAPI document, their fields, and prose with `code` in it.
import { h } from "../shared/dom.js";

const LIMITS = { minimum: "at least", maximum: "at most", minLength: "min length", maxLength: "max length", pattern: "pattern" };

/** The paragraphs of a description. */
export function prose(text) {
  return (text ?? "").split("\n\n").map((paragraph) => h("p", {}, inline(paragraph)));
}

/** A text in which a part between backticks is code. */
export function inline(text) {
  return h(
    "span",
    {},
    ...text.split("`").map((part, index) => (index % 2 ? h("code", {}, part) : part)),
  );
}

export function typeCard(name, schema) {
  const required = new Set(schema.required ?? []);
  const entries = Object.entries(schema.properties ?? {}).map(([field, one]) => ({
    name: field,
    required: required.has(field),
    schema: one,
  }));
  return h(
    "section",
    { class: "card", id: `type-${name}`, "aria-labelledby": `title-type-${name}` },
    h("h3", { id: `title-type-${name}` }, name),
    ...prose(schema.description),
    entries.length > 0 && fields(entries),
  );
}

/** A list of fields or parameters: name, type, whether it is required, and its description. */
export function fields(entries) {
  const rows = entries.flatMap(({ name, place, required, schema }) => [
    h(
      "dt",
      {},
      h("code", {}, name),
      " ",
      h("span", { class: "type" }, typeOf(schema), place ? ` ${place}` : "", required ? "" : ", optional"),
    ),
    h("dd", {}, ...details(schema)),
  ]);
  return h("dl", {}, ...rows);
}

function details(schema) {
  const limits = Object.entries(LIMITS)
    .map(([keyword, words]) => [words, plain(schema)[keyword]])
    .filter(([, value]) => value !== undefined)
    .map(([words, value]) => `${words} ${value}`);
  const example = schema.examples?.[0];
  return [
    schema.description && h("p", {}, inline(schema.description)),
    limits.length > 0 && h("p", { class: "type" }, limits.join(", ")),
    schema.default !== undefined && h("p", { class: "type" }, `By default ${JSON.stringify(schema.default)}.`),
    example !== undefined &&
      example !== null &&
      h("p", { class: "type" }, "Example: ", h("code", {}, JSON.stringify(example))),
  ].filter(Boolean);
}

function plain(schema) {
  return schema.anyOf?.find((branch) => branch.type !== "null") ?? schema;
}

/** A type in words, with links to named types. */
export function typeOf(schema) {
  const branches = schema.oneOf ?? schema.anyOf;
  if (branches) return h("span", {}, ...branches.flatMap((branch, index) => [index ? " or " : "", typeOf(branch)]));
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return h("a", { href: `#type-${name}` }, name);
  }
  if (schema.const !== undefined) return h("code", {}, JSON.stringify(schema.const));
  if (schema.enum) return h("code", {}, schema.enum.map((value) => JSON.stringify(value)).join(" | "));
  if (schema.type === "array") return h("span", {}, "list of ", typeOf(schema.items));
  return h("span", {}, [schema.type ?? "any value", schema.format].filter(Boolean).join(", "));
}

/** An example as indented JSON, which keyboards can scroll. */
export function sample(value, label) {
  return h("pre", { tabindex: "0", role: "region", "aria-label": label }, JSON.stringify(value, null, 2));
}
