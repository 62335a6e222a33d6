// The OpenFlow layer: flows and actions as text and wire, messages, and the trace of a translation.

export * from "./actions/codec.ts";
export * from "./actions/table.ts";
export type * from "./actions/types.ts";
export * from "./flow-format.ts";
export * from "./flow-text.ts";
export * from "./match-parse.ts";
export * from "./match-text.ts";
export * from "./messages/errors.ts";
export * from "./messages/print.ts";
export * from "./messages/raw.ts";
export * from "./messages/raw-table.ts";
export type { Ofproto } from "./ofproto.ts";
export { traceToJson, TRACE_JSON_VERSION } from "./trace-json.ts";
export type * from "./trace-json.ts";
export * from "./trace.ts";
export * from "./verdict.ts";
