// The database layer: the data model of RFC 7047, its operations, monitors and files.

export * from "./atom.ts";
export * from "./condition.ts";
export * from "./database.ts";
export * from "./datum.ts";
export * from "./datum-diff.ts";
export * from "./datum-text.ts";
export * from "./db-error.ts";
export * from "./db-file.ts";
export * from "./db-log.ts";
export * from "./db-record.ts";
export * from "./execute.ts";
export * from "./json.ts";
export * from "./json-parse.ts";
export * from "./monitor.ts";
export * from "./mutation.ts";
export * from "./schema.ts";
export * from "./schemas/vswitch.gen.ts";
export * from "./sha1.ts";
export * from "./text-table.ts";
export * from "./transaction.ts";
export * from "./types.ts";
export * from "./uuid.ts";
export * from "./vswitch-schema.ts";
