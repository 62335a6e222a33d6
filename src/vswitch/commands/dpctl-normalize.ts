// dpctl/normalize-actions: what datapath actions come to for each VLAN, whatever their order.
//
// The pushes and pops of VLAN tags are carried out on the key instead of printed; the other
// actions are gathered under the key that they find. Groups are printed in the order of their
// keys, runs of outputs in the order of their ports. As in Open vSwitch nothing parts one group
// from the next, and a TPID is printed with its bytes the wrong way round.
// ovs: lib/dpctl.c dpctl_normalize_actions.

import type { OdpAction } from "../../datapath/odp-action.ts";
import { odpFlowKeyToFlow } from "../../datapath/odp-flow.ts";
import { formatOdpFlow } from "../../datapath/odp-text.ts";
import { formatOdpActions } from "../../datapath/odp-text-actions.ts";
import { parseOdpFlow } from "../../datapath/odp-text-parse.ts";
import { readOdpActions } from "../../datapath/odp-text-parse-actions.ts";
import { type FlowKey, getU, K, set } from "../../flow/flow-key.ts";
import { popVlan, pushVlanUninit } from "../../flow/vlan-mpls.ts";
import { type DpctlRun, dpctlRow } from "./dpctl-params.ts";

const ETH_TYPE_VLAN = 0x8100;
const VLANS = [
  { tpid: K.vlan_tpid, tci: K.vlan_tci },
  { tpid: K.vlan_tpid1, tci: K.vlan_tci1 },
] as const;
const MPLS_TYPES: ReadonlySet<number> = new Set([0x8847, 0x8848]);

/** Open vSwitch takes the number of a fitness for an error number. */
const FITNESS_ERRNO = { too_much: "EPERM", too_little: "ENOENT", error: "ESRCH" } as const;

interface Group {
  readonly flow: FlowKey;
  readonly actions: OdpAction[];
}

/** The tags of a key as one word each: only they can differ between groups. */
function tags(flow: FlowKey): number[] {
  return VLANS.map((v) => getU(flow, v.tpid) * 0x10000 + getU(flow, v.tci));
}

function compareTags(a: Group, b: Group): number {
  const [a0 = 0, a1 = 0] = tags(a.flow);
  const [b0 = 0, b1 = 0] = tags(b.flow);
  return a0 - b0 || a1 - b1;
}

function groupsOf(flow: FlowKey, actions: readonly OdpAction[]): Group[] {
  const groups = new Map<string, Group>();
  for (const a of actions) {
    if (a.kind === "pop_vlan") {
      popVlan(flow, null);
    } else if (a.kind === "push_vlan") {
      pushVlanUninit(flow, null);
      set(flow, K.vlan_tpid, a.tpid);
      set(flow, K.vlan_tci, a.tci);
    } else {
      const name = tags(flow).join();
      let g = groups.get(name);
      if (g === undefined) {
        g = { flow: flow.slice(), actions: [] };
        groups.set(name, g);
      }
      g.actions.push(a);
    }
  }
  return [...groups.values()].sort(compareTags);
}

/** The actions with each unbroken run of outputs in the order of its ports. */
function sortOutputs(actions: readonly OdpAction[]): OdpAction[] {
  const sorted: OdpAction[] = [];
  let run: Extract<OdpAction, { kind: "output" }>[] = [];
  const flush = () => {
    sorted.push(...run.sort((a, b) => a.port - b.port));
    run = [];
  };
  for (const a of actions) {
    if (a.kind === "output") {
      run.push(a);
    } else {
      flush();
      sorted.push(a);
    }
  }
  flush();
  return sorted;
}

function formatVlans(flow: FlowKey): string {
  let s = "";
  for (const v of VLANS) {
    const tci = getU(flow, v.tci);
    if (tci === 0) {
      return s === "" ? "no vlan: " : s;
    }
    const tpid = getU(flow, v.tpid);
    const swapped = ((tpid & 0xff) << 8) | (tpid >>> 8);
    const shown = tpid === ETH_TYPE_VLAN ? "" : `tpid=0x${swapped.toString(16).padStart(4, "0")},`;
    s += `vlan(${shown}vid=${tci & 0xfff},pcp=${tci >>> 13}): `;
  }
  return s;
}

function formatMpls(flow: FlowKey): string {
  if (!MPLS_TYPES.has(getU(flow, K.dl_type))) {
    return "no mpls: ";
  }
  const lse = getU(flow, K.mpls_lse);
  return `mpls(label=${lse >>> 12},tc=${(lse >>> 9) & 7},ttl=${lse & 0xff}): `;
}

function portNumbers(r: DpctlRun): Map<string, number> | null {
  const names = new Map<string, number>();
  for (const arg of r.argv.slice(3)) {
    const m = /^([^=]{1,15})=\s*([-+]?\d+)/.exec(arg);
    if (m === null) {
      r.error(null, `${arg}: expected NAME=NUMBER`);
      return null;
    }
    names.set(m[1] as string, Number(m[2]) >>> 0);
  }
  return names;
}

function normalize(r: DpctlRun): void {
  const names = portNumbers(r);
  if (names === null) {
    return;
  }
  const parsed = parseOdpFlow(r.argv[1] as string, names, false);
  if (!parsed.ok) {
    r.error("EINVAL", `odp_flow_key_from_string (${parsed.error.message})`);
    return;
  }
  r.print(`input flow: ${formatOdpFlow(parsed.value.key, null, null, r.verbosity > 0)}\n`);
  const { flow, fitness, error } = odpFlowKeyToFlow(parsed.value.key, VLANS.length);
  if (fitness !== "perfect") {
    r.error(FITNESS_ERRNO[fitness], `odp_flow_key_to_flow failed (${error ?? "reason unknown"})`);
    return;
  }
  const actions = readOdpActions(r.argv[2] as string, names);
  if (typeof actions === "string") {
    r.error(null, `odp_actions_from_string (${actions})`);
    return;
  }
  if (r.verbosity > 0) {
    r.print(`input actions: ${formatOdpActions(actions, null)}\n`);
  }
  for (const g of groupsOf(flow, actions)) {
    const shown = formatOdpActions(sortOutputs(g.actions), null);
    r.print(`${formatVlans(g.flow)}${formatMpls(g.flow)}${shown}`);
  }
}

export const DPCTL_NORMALIZE = dpctlRow(
  "normalize-actions",
  "actions",
  [2, Number.MAX_SAFE_INTEGER],
  "Shows what datapath actions come to, VLAN by VLAN.",
  normalize,
);
