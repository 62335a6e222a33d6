// One command of a recorded switch and what it answered, made neutral.

import { neutral } from "./side.ts";

export interface SwitchStep {
  readonly run: readonly string[];
  readonly exit: number;
  readonly out: string;
  readonly err: string;
}

/** Commands whose lines Open vSwitch prints in the order of a hash of pointers or random numbers. */
const ORDERLESS = /dump-flows|list-tunnels|neigh\/show|tnl\/ports\/show/;

export function neutralStep({ run, exit, out, err }: SwitchStep): SwitchStep {
  const text = neutral(out)
    .replace(/used:[0-9.]+s/g, "used:*s")
    .replace(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/gm, "<uuid>")
    // Dummy ports get addresses in the order in which they are made, which depends on row ids.
    .replace(/aa:55:aa:55(:[0-9a-f]{2}){2}/g, "<mac>");
  const errors = neutral(err).replace(/(The default log directory is) .*/g, "$1 *");
  const orderless = ORDERLESS.test(run.join(" "));
  return {
    run,
    exit,
    out: orderless ? text.split("\n").sort().join("\n") : text,
    err: errors,
  };
}
