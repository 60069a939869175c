/** The description of the API, drawn from the server's own openapi.json. */

import { build, find } from "./dom.js";

/**
 * @typedef {object} Schema
 * @property {string} [$ref]
 * @property {string} [type]
 * @property {string} [format]
 * @property {string} [title]
 * @property {string} [description]
 * @property {unknown[]} [enum]
 * @property {unknown} [const]
 * @property {number} [minimum]
 * @property {number} [maximum]
 * @property {unknown} [default]
 * @property {Schema[]} [anyOf]
 * @property {Schema} [items]
 * @property {Record<string, Schema>} [properties]
 *
 * @typedef {{schema?: Schema}} Content
 * @typedef {{description: string, content?: Record<string, Content>}} Answer
 * @typedef {{name: string, required?: boolean, description?: string, deprecated?: boolean, schema: Schema}} Parameter
 *
 * @typedef {object} Route
 * @property {string} summary
 * @property {string} [description]
 * @property {Parameter[]} [parameters]
 * @property {{content: Record<string, Content>}} [requestBody]
 * @property {Record<string, Answer>} responses
 *
 * @typedef {object} Description
 * @property {{title: string, version: string, description: string}} info
 * @property {Record<string, Record<string, Route>>} paths
 * @property {{schemas?: Record<string, Schema>}} [components]
 */

/** The server's address as this page sees it, whatever a proxy adds in front. */
const BASE = new URL(".", document.baseURI).href;

const answer = await fetch("openapi.json").catch(() => null);
if (answer?.ok) {
  /** @type {Description} */
  const described = await answer.json();
  find("lead").textContent = `${described.info.description} Version ${described.info.version}.`;
  for (const [path, methods] of Object.entries(described.paths)) {
    for (const [method, route] of Object.entries(methods)) {
      find("routes").append(drawRoute(path, method, route, described.components?.schemas ?? {}));
    }
  }
  find("status").textContent = "";
} else {
  find("status").textContent = "The description cannot be read. Is the server still running?";
}

/**
 * @param {string} path
 * @param {string} method
 * @param {Route} route
 * @param {Record<string, Schema>} schemas
 */
function drawRoute(path, method, route, schemas) {
  const panel = build("section", "panel");
  const title = build("h2");
  title.append(build("code", "", `${method.toUpperCase()} ${path}`), ` ${route.summary}`);
  panel.append(title, build("p", "", route.description));
  const fields = (route.parameters ?? []).map(({ name, schema, description, deprecated }) => {
    const words = [deprecated ? "Old." : "", description, describeDefault(schema)];
    return [name, describeType(schema, schemas), words.filter(Boolean).join(" ")];
  });
  if (fields.length) panel.append(build("h3", "", "Query parameters"), drawTable(fields));
  const form = route.requestBody?.content["multipart/form-data"]?.schema;
  if (form) panel.append(build("h3", "", "Form, multipart/form-data"), drawTable(listFields(form, schemas)));
  panel.append(...drawCurl(path, method, form));
  panel.append(build("h3", "", "Responses"), drawTable(listResponses(route, schemas)));
  const found = route.responses["200"]?.content?.["application/json"]?.schema;
  const inside = found && listFields(resolve(found, schemas), schemas);
  if (inside?.length) panel.append(build("h3", "", "Fields of the response"), drawTable(inside));
  return panel;
}

/**
 * A line to copy, that works from the address of this page.
 * @param {string} path
 * @param {string} method
 * @param {Schema | undefined} form
 */
function drawCurl(path, method, form) {
  const saved = path.endsWith(".zip") ? "-O " : "";
  const asked = form ? `-F ${Object.keys(form.properties ?? {})[0]}=@cell.bmp ` : saved;
  const heading = build("div", "heading");
  const button = build("button", "small", "Copy");
  const line = build("pre");
  line.append(build("code", "", `curl ${method === "get" || form ? "" : `-X ${method.toUpperCase()} `}${asked}${BASE}${path.slice(1)}`));
  button.addEventListener("click", async () => {
    getSelection()?.selectAllChildren(line); // all that can be done where the address is no https
    await navigator.clipboard?.writeText(line.textContent ?? "");
    button.textContent = navigator.clipboard ? "Copied" : "Selected";
  });
  heading.append(build("h3", "", "Command"), button);
  return [heading, line];
}

/**
 * @param {Route} route
 * @param {Record<string, Schema>} schemas
 */
function listResponses(route, schemas) {
  return Object.entries(route.responses).map(([status, { description, content }]) => {
    const [kind, value] = Object.entries(content ?? {})[0] ?? [];
    const type = value?.schema && Object.keys(value.schema).length ? describeType(value.schema, schemas) : kind;
    return [status, type ?? "", description];
  });
}

/**
 * Rows of an object's fields, those of objects within it indented by their path.
 * @param {Schema} schema
 * @param {Record<string, Schema>} schemas
 * @param {string} [before]
 * @returns {string[][]}
 */
function listFields(schema, schemas, before = "") {
  return Object.entries(schema.properties ?? {}).flatMap(([name, value]) => {
    const inner = resolve(value.items ?? value, schemas);
    const path = `${before}${name}${value.items ? "[]" : ""}`;
    const words = value.description ?? (inner.properties ? inner.description : "") ?? "";
    return [[path, describeType(value, schemas), words], ...listFields(inner, schemas, `${path}.`)];
  });
}

/**
 * The schema that a reference names, or the one that is not null of several.
 * @param {Schema} schema
 * @param {Record<string, Schema>} schemas
 * @returns {Schema}
 */
function resolve(schema, schemas) {
  const named = schema.$ref && schemas[schema.$ref.split("/").at(-1) ?? ""];
  const other = schema.anyOf?.find(({ type }) => type !== "null");
  return named || (other && !schema.properties ? resolve(other, schemas) : schema);
}

/**
 * @param {Schema} schema
 * @param {Record<string, Schema>} schemas
 * @returns {string}
 */
function describeType(schema, schemas) {
  if (schema.anyOf && !schema.properties) return schema.anyOf.map((one) => describeType(one, schemas)).join(" or ");
  if (schema.$ref) return resolve(schema, schemas).title ?? "object";
  if (schema.items) return `list of ${describeType(schema.items, schemas)}`;
  if (schema.const !== undefined) return String(schema.const);
  if (schema.enum) return schema.enum.join(", ");
  if (schema.format === "binary") return "file";
  const { minimum, maximum } = schema;
  const range = minimum === undefined && maximum === undefined ? "" : `, ${minimum ?? ""} to ${maximum ?? ""}`;
  return `${schema.type ?? "any"}${range}`;
}

/** @param {Schema} schema */
function describeDefault(schema) {
  return schema.default === undefined || schema.default === "" ? "" : `Default: ${schema.default}.`;
}

/** @param {string[][]} rows */
function drawTable(rows) {
  const frame = build("div", "scroll"), table = build("table"), body = build("tbody");
  frame.tabIndex = 0; // so that the keyboard can scroll it
  for (const [name, ...cells] of rows) {
    const row = build("tr"), head = build("th");
    head.scope = "row";
    head.append(build("code", "", name));
    row.append(head, ...cells.map((text) => build("td", "", text)));
    body.append(row);
  }
  table.append(body);
  frame.append(table);
  return frame;
}
