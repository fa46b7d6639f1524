// One operation: who may call it, its parameters, its body, and every answer.
import { h } from "../shared/dom.js";
import { fields, inline, prose, sample, typeOf } from "./types.js";

export function operationCard(operation, api) {
  return h(
    "section",
    { class: "card", id: operation.operationId, "aria-labelledby": `title-${operation.operationId}` },
    h("h3", { id: `title-${operation.operationId}` }, operation.summary),
    h("p", { class: "route" }, h("span", { class: "method" }, operation.method), h("code", {}, operation.path)),
    ...prose(operation.description),
    h("p", { class: "type" }, authorization(operation)),
    ...parameters(operation),
    ...body(operation),
    h("h4", {}, "Answers"),
    ...Object.entries(operation.responses).map(([status, response]) => answer(status, response, operation, api)),
  );
}

function authorization(operation) {
  const schemes = operation.security.flatMap((one) => Object.keys(one));
  return schemes.length ? `Authorization: ${schemes.join(" or ")}` : "No authorization";
}

function parameters(operation) {
  if (!operation.parameters.length) return [];
  const entries = operation.parameters.map((one) => ({
    name: one.name,
    place: `in the ${one.in}`,
    required: one.required,
    schema: { ...one.schema, description: one.description, ...(one.example && { examples: [one.example] }) },
  }));
  return [h("h4", {}, "Parameters"), fields(entries)];
}

function body(operation) {
  const content = operation.requestBody?.content["application/json"];
  if (!content) return [];
  return [
    h("h4", {}, "Body"),
    h("p", {}, typeOf(content.schema), " ", inline(content.schema.description ?? "")),
    content.example && sample(content.example, `Example of a body of ${operation.operationId}`),
  ].filter(Boolean);
}

function answer(status, response, operation, api) {
  const contents = Object.entries(response.content).flatMap(([mediaType, content]) => [
    h("p", {}, h("code", {}, mediaType), ": ", typeOf(content.schema)),
    content.example && sample(content.example, `Example of the answer ${status} of ${operation.operationId}`),
  ]);
  const headers = Object.entries(response.headers ?? {}).map(([name, header]) => {
    const described = header.$ref ? api.components.headers[header.$ref.split("/").pop()] : header;
    return h("p", {}, "Header ", h("code", {}, name), `: ${described.description}`);
  });
  return h(
    "details",
    {},
    h("summary", {}, h("strong", {}, status), " ", inline(response.description)),
    ...contents.filter(Boolean),
    ...headers,
  );
}
