// Fields and subfields as operands of actions: the functions of flow/ in the shape that rows use,
// the value or the text of the error.

import { mfFormat, mfParse, mfParseValue, type ValueAndMask } from "../../flow/field-text.ts";
import type { FieldValue } from "../../flow/field-value.ts";
import type { Field } from "../../flow/fields.ts";
import type { LogSink, NameMap } from "../../flow/ofp-port.ts";
import {
  checkDst,
  checkSrc,
  formatSubfield,
  parseField,
  parseSubfield,
  parseSubfieldAt,
  type Subfield,
} from "../../flow/subfield.ts";
import type { Result } from "../../lib/errors.ts";

export { checkDst as checkTarget, checkSrc as checkSource, formatSubfield, mfFormat };

function valueOrText<T>(r: Result<T>): T | string {
  return r.ok ? r.value : r.error.message;
}

export function readSubfield(text: string): Subfield | string {
  return valueOrText(parseSubfield(text));
}

/** A subfield at the start of a text, and where it ends. */
export function readSubfieldPrefix(text: string): { sf: Subfield; end: number } | string {
  return valueOrText(parseSubfieldAt(text));
}

export function readField(text: string): Field | string {
  return valueOrText(parseField(text));
}

export function readValueAndMask(
  field: Field,
  text: string,
  ports: NameMap | null,
  log: LogSink | null,
): ValueAndMask | string {
  return valueOrText(mfParse(field, text, ports, log));
}

export function readValue(
  field: Field,
  text: string,
  ports: NameMap | null,
  log: LogSink | null,
): FieldValue | string {
  return valueOrText(mfParseValue(field, text, ports, log));
}

/** Two subfields of one width: `NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15]` (ovs: nxm_parse_reg_move). */
export function readMove(text: string): { src: Subfield; dst: Subfield } | string {
  const src = readSubfieldPrefix(text);
  if (typeof src === "string") {
    return src;
  }
  if (!text.startsWith("->", src.end)) {
    return `${text}: missing \`->' following source`;
  }
  const dst = readSubfield(text.slice(src.end + 2));
  if (typeof dst === "string") {
    return dst;
  }
  if (src.sf.bits !== dst.bits) {
    return (
      `${text}: source field is ${src.sf.bits} bits wide but ` +
      `destination is ${dst.bits} bits wide`
    );
  }
  return { src: src.sf, dst };
}

/** Splits "value->field" (ovs: set_field_split_str). */
export function splitArrow(arg: string): { value: string; key: string } | string {
  const at = arg.indexOf("->");
  if (at < 0) {
    return `${arg}: missing \`->'`;
  }
  const key = arg.slice(at + 2);
  if (key === "") {
    return `${arg}: missing field name following \`->'`;
  }
  return { value: arg.slice(0, at), key };
}
