// The flow layer: the tables of slots and fields, keys, matches; from frames to keys and back.

export { flowCompose, type Payload, packetExpand } from "./compose.ts";
export { extract } from "./extract.ts";
export * from "./field-row.ts";
export * from "./field-text.ts";
export * from "./field-value.ts";
export * from "./flag-text.ts";
export * from "./fields.ts";
export * from "./flow-hash.ts";
export * from "./flow-key.ts";
export * from "./match.ts";
export * from "./minimatch.ts";
export * from "./of-version.ts";
export * from "./ofp-port.ts";
export * from "./slots.ts";
export * from "./subfield.ts";
export * from "./tun-metadata.ts";
