// The part of JSON Schema that the schemas in docs/ use, checked by hand: no dependency for it.

export type Json = null | boolean | number | string | Json[] | { [key: string]: Json };
export type Schema = { [key: string]: Json };

function typeOf(v: Json): string {
  if (v === null) {
    return "null";
  }
  return Array.isArray(v) ? "array" : Number.isInteger(v) ? "integer" : typeof v;
}

/** Nodes nest deeply, so that alternatives of another kind must not be looked into. */
function otherKind(root: Schema, v: Json, one: Schema): string[] | null {
  const kind = ((one.properties ?? {}) as { kind?: Schema }).kind;
  const wrong =
    kind === undefined || typeOf(v) !== "object"
      ? []
      : problems(root, (v as Schema).kind ?? null, kind);
  return wrong.length === 0 ? null : wrong;
}

/** What is wrong with a value, by the part of JSON Schema that the schema uses. */
export function problems(root: Schema, v: Json, s: Schema = root, at = "$"): string[] {
  if (typeof s.$ref === "string") {
    let target: Json = root;
    for (const part of s.$ref.slice(2).split("/")) {
      target = (target as Schema)[part] as Json;
    }
    return problems(root, v, target as Schema, at);
  }
  const out: string[] = [];
  if (s.oneOf !== undefined) {
    const all = (s.oneOf as Schema[]).map(
      (one) => otherKind(root, v, one) ?? problems(root, v, one, at),
    );
    const fits = all.filter((p) => p.length === 0).length;
    return fits === 1 ? [] : [`${at}: ${fits} alternatives fit`, ...all.flat()];
  }
  if (s.const !== undefined && v !== s.const) {
    out.push(`${at}: is not ${s.const}`);
  }
  if (s.enum !== undefined && !(s.enum as Json[]).includes(v)) {
    out.push(`${at}: ${v} is not allowed`);
  }
  if (s.type !== undefined && typeOf(v) !== s.type) {
    return [...out, `${at}: is ${typeOf(v)}, not ${s.type}`];
  }
  if (
    typeof v === "string" &&
    s.pattern !== undefined &&
    !new RegExp(s.pattern as string).test(v)
  ) {
    out.push(`${at}: ${v} does not match`);
  }
  if (
    typeof v === "number" &&
    (v < ((s.minimum ?? v) as number) || v > ((s.maximum ?? v) as number))
  ) {
    out.push(`${at}: ${v} is out of range`);
  }
  if (Array.isArray(v)) {
    if (v.length < ((s.minItems ?? 0) as number)) {
      out.push(`${at}: too short`);
    }
    return [...out, ...v.flatMap((x, i) => problems(root, x, s.items as Schema, `${at}[${i}]`))];
  }
  return typeOf(v) === "object" ? [...out, ...objectProblems(root, v as Schema, s, at)] : out;
}

function objectProblems(root: Schema, v: Schema, s: Schema, at: string): string[] {
  const known = (s.properties ?? {}) as Schema;
  const out = ((s.required ?? []) as string[])
    .filter((k) => !(k in v))
    .map((k) => `${at}: ${k} is missing`);
  for (const [k, x] of Object.entries(v)) {
    const sub = known[k] ?? s.additionalProperties;
    if (sub === false) {
      out.push(`${at}: ${k} is unknown`);
    } else if (typeof sub === "object") {
      out.push(...problems(root, x, sub as Schema, `${at}.${k}`));
    }
  }
  return out;
}
