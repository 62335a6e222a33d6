// The package `tablewalk` as a library: a switch in the program's own process.

export { CableHost, frameOf } from "./cable-host.ts";
export type { Background, Command, CommandContext, Reply, Tool } from "./command.ts";
export { COMMANDS, findCommand, runCommandLine, startCommandLine } from "./commands.ts";
export * from "./host-dump/host-dump.ts";
export type { Note } from "./host-dump/note.ts";
export { openHostDump } from "./host-dump/open.ts";
export * from "./library.ts";
export { Script, type ScriptOutput } from "./script.ts";
export { OVS_VERSION, VSwitch, type VSwitchEnv } from "./vswitch.ts";
export { readStatements, type Statement, splitWords } from "./words.ts";
export type { JsonFlow, JsonNode, JsonStep, JsonTrace } from "../openflow/trace-json.ts";
