// The library layer: bytes, addresses, checksums, hashes, errors and scanning.

export * from "./address.ts";
export * from "./bytes.ts";
export * from "./checksum.ts";
export * from "./counters.ts";
export * from "./env.ts";
export * from "./errors.ts";
export * from "./hash.ts";
export * from "./number.ts";
export * from "./scan.ts";
export * from "./log-rate-limit.ts";
export * from "./vlog.ts";
