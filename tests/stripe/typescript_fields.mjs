// Prints the fields of Stripe's objects as JSON, read from the types of the npm package `stripe`.
//
//     node typescript_fields.mjs FOLDER_OF_TYPESCRIPT FOLDER_OF_STRIPE KIND...
//
// A field's name ends with `?` if the field is optional. Its value lists what the field may be: `null`, `string`,
// `number`, `boolean`, `any`, `@customer` (an object of that kind), `#Coupon.AppliesTo` (a hash with those fields),
// {"list": […]}, {"page": […]} (a list object) or {"map": […]}. Hashes with equal fields are written once.
import { createRequire } from "node:module";
import path from "node:path";

const [typescript, stripe, ...kinds] = process.argv.slice(2);
const ts = createRequire(import.meta.url)(path.join(typescript, "lib", "typescript.js"));
const resources = path.join(stripe, "esm", "resources");
const program = ts.createProgram([path.join(stripe, "esm", "stripe.esm.node.d.ts")], {
  strict: true,
  skipLibCheck: true,
  types: [],
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.NodeNext,
  moduleResolution: ts.ModuleResolutionKind.NodeNext,
});
const checker = program.getTypeChecker();
const objects = {};
const hashes = {};
const kindOfType = new Map();

function propertyType(type, name) {
  const property = type.getProperty(name);
  return property && checker.getTypeOfSymbol(property);
}

function findObjects() {
  for (const file of program.getSourceFiles()) {
    const relative = path.relative(resources, file.fileName);
    if (relative.startsWith("..") || relative.startsWith("V2")) continue;
    for (const symbol of checker.getExportsOfModule(checker.getSymbolAtLocation(file) ?? { exports: new Map() })) {
      if (!(symbol.flags & ts.SymbolFlags.Interface)) continue;
      const type = checker.getDeclaredTypeOfSymbol(symbol);
      const kind = propertyType(type, "object");
      if (kind === undefined || !kind.isStringLiteral() || propertyType(type, "id") === undefined) {
        if (kind === undefined || !kind.isStringLiteral() || kind.value !== "balance") continue;
      }
      kindOfType.set(type, symbol.name.startsWith("Deleted") ? `deleted ${kind.value}` : kind.value);
    }
  }
}

function alternatives(type) {
  const results = new Map();
  for (const one of type.isUnion() ? type.types : [type]) {
    for (const alternative of alternativesOf(one)) results.set(JSON.stringify(alternative), alternative);
  }
  return [...results.keys()].sort().map((key) => results.get(key));
}

function alternativesOf(type) {
  const flags = type.flags;
  if (flags & (ts.TypeFlags.Undefined | ts.TypeFlags.Void)) return [];
  if (flags & ts.TypeFlags.Null) return ["null"];
  if (flags & ts.TypeFlags.StringLike) return ["string"];
  if (flags & ts.TypeFlags.NumberLike) return ["number"];
  if (flags & ts.TypeFlags.BooleanLike) return ["boolean"];
  if (type.isIntersection()) return type.types.some((one) => one.flags & ts.TypeFlags.StringLike) ? ["string"] : ["any"];
  if (kindOfType.has(type)) return [`@${kindOfType.get(type)}`];
  if (checker.isArrayType(type)) return [{ list: alternatives(checker.getTypeArguments(type)[0]) }];
  const name = type.symbol?.name;
  if (name === "ApiList") {
    const argument = type.aliasTypeArguments?.[0] ?? checker.getTypeArguments(type)[0];
    return [{ page: alternatives(argument) }];
  }
  if (name === "Decimal") return ["string"];
  const index = checker.getIndexInfoOfType(type, ts.IndexKind.String);
  if (index && type.getProperties().length === 0) return [{ map: alternatives(index.type) }];
  if (flags & ts.TypeFlags.Object && type.getProperties().length > 0) return [`#${hashOf(type)}`];
  return ["any"];
}

function fieldsOf(type) {
  const fields = {};
  for (const property of type.getProperties()) {
    const types = alternatives(checker.getTypeOfSymbol(property));
    const optional = property.flags & ts.SymbolFlags.Optional ? "?" : "";
    if (types.length > 0) fields[property.name + optional] = types; // not `deleted?: void`
  }
  return fields;
}

const nameOfHash = new Map();
const nameOfShape = new Map();

function hashOf(type) {
  if (nameOfHash.has(type)) return nameOfHash.get(type);
  const folder = path.dirname(path.relative(resources, type.symbol.declarations[0].getSourceFile().fileName));
  const prefix = folder.startsWith(".") ? "" : `${folder.replaceAll("/", ".")}.`;
  const isAnonymous = type.symbol.name === "__type";
  const name = isAnonymous
    ? `anonymous ${nameOfHash.size}`
    : prefix + checker.getFullyQualifiedName(type.symbol).replace(/^.*"\./, "");
  nameOfHash.set(type, name);
  const fields = fieldsOf(type);
  const shape = JSON.stringify(fields);
  const first = nameOfShape.get(shape) ?? name;
  nameOfShape.set(shape, first);
  nameOfHash.set(type, first);
  if (first in hashes && JSON.stringify(hashes[first]) !== shape) throw new Error(`two hashes are called ${first}`);
  hashes[first] = fields;
  return first;
}

findObjects();
for (const [type, kind] of kindOfType) {
  if (kinds.includes(kind.replace(/^deleted /, ""))) objects[kind] = fieldsOf(type);
}
const inOrder = (record) => Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)));
process.stdout.write(JSON.stringify({ objects: inOrder(objects), hashes: inOrder(hashes) }));
