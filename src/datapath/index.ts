// The datapath layer: the classifier, the datapath with its caches, connection tracking, devices,
// and keys and actions of the datapath as data and text.

export { Classifier } from "./classifier.ts";
export { NaiveClassifier } from "./classifier-naive.ts";
export * from "./classifier-rule.ts";
export { CT_CONNS_MAX, Conntrack, type CtEnv } from "./conntrack.ts";
export * from "./ct-counters.ts";
export * from "./ct-provider.ts";
export * from "./ct-text.ts";
export * from "./datapath.ts";
export * from "./dp-counters.ts";
export * from "./dummy-netdev.ts";
export * from "./execute.ts";
export * from "./faulty-netdev.ts";
export { MEGAFLOWS_MAX } from "./flow-cache.ts";
export type { FlowCounters, Megaflow } from "./megaflow.ts";
export * from "./odp-action.ts";
export * from "./odp-key-table.ts";
export * from "./odp-key.ts";
export * from "./odp-text.ts";
export * from "./odp-text-actions.ts";
export * from "./odp-text-parse.ts";
export * from "./odp-text-parse-actions.ts";
export * from "./port.ts";
