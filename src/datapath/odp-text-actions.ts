// Datapath actions as text: `set(ipv4(src=10.0.0.1)),ct(commit,zone=5),recirc(0x1),2`.
// ovs: lib/odp-util.c format_odp_actions.

import { formatHexWords } from "../flow/field-text.ts";
import { formatFlags } from "../flow/flag-text.ts";
import { formatIpv4, formatIpv6, formatMac } from "../lib/address.ts";
import { formatHex } from "../lib/bytes.ts";
import { formatAltHex, formatAltHex64, formatHexPadded } from "../lib/number.ts";
import { ETH_TYPE } from "../flow/vlan-mpls.ts";
import { type OdpAction, type OdpNat, SLOW_PATH_REASONS, type UserCookie } from "./odp-action.ts";
import {
  formatMplsLse,
  formatNshKey,
  formatNshMasked,
  formatOdpKeyAttr,
  formatOdpWords,
  formatVlanTci,
} from "./odp-text.ts";
import { formatHexNumber, formatPort, type PortNames } from "./odp-text-fields.ts";
import { formatTnlPushHeader } from "./odp-text-tnl-push.ts";

const SAMPLE_ALWAYS = 0xffffffff;
const NSH_MDTYPE_WORD = 2;
const NSH_MD_TYPE1 = 1;
const NSH_MD_TYPE2 = 2;
const SLOW_NAMES = SLOW_PATH_REASONS.map((r) => r.name);

function formatCookie(c: UserCookie, names: PortNames): string {
  switch (c.type) {
    case "sflow":
      return `sFlow(vid=${c.vlanTci & 0xfff},pcp=${(c.vlanTci >>> 13) & 7},output=${c.output})`;
    case "slow_path":
      return `slow_path(${formatFlags(SLOW_NAMES, c.reason, ",")})`;
    case "flow_sample": {
      const direction = c.direction === "default" ? "" : `,${c.direction}`;
      return (
        `flow_sample(probability=${c.probability},collector_set_id=${c.collectorSetId}` +
        `,obs_domain_id=${c.obsDomainId},obs_point_id=${c.obsPointId}` +
        `,output_port=${formatPort(c.outputPort, names)}${direction})`
      );
    }
    case "ipfix":
      return `ipfix(output_port=${formatPort(c.outputPort, names)})`;
    case "controller":
      return (
        `controller(reason=${c.reason},dont_send=${c.dontSend ? 1 : 0}` +
        `,continuation=${c.continuation ? 1 : 0},recirc_id=${c.recircId}` +
        `,rule_cookie=${formatAltHex64(c.ruleCookie[0], c.ruleCookie[1])}` +
        `,controller_id=${c.controllerId},max_len=${c.maxLen})`
      );
    case "raw":
      return `userdata(${formatHex(c.bytes)})`;
  }
}

function formatUserspace(a: OdpAction & { kind: "userspace" }, names: PortNames): string {
  let s = `userspace(pid=${a.pid}`;
  if (a.cookie !== null) {
    s += `,${formatCookie(a.cookie, names)}`;
  }
  if (a.includeActions) {
    s += ",actions";
  }
  if (a.tunnelOutPort !== null) {
    s += `,tunnel_out_port=${formatPort(a.tunnelOutPort, names)}`;
  }
  return `${s})`;
}

function formatNatAddress(w: Uint32Array, bracket: boolean): string {
  if (w.length === 1) {
    return formatIpv4(w[0] as number);
  }
  return bracket ? `[${formatIpv6(w)}]` : formatIpv6(w);
}

function sameWords(a: Uint32Array, b: Uint32Array): boolean {
  return a.every((w, i) => w === b[i]);
}

/** nat(src=...,persistent); the address range and, in brackets if need be, the port range. */
export function formatNat(n: OdpNat): string {
  if (n.type === null) {
    return "nat";
  }
  let s = `nat(${n.type}`;
  if (n.min !== null) {
    s += `=${formatNatAddress(n.min, n.portMin !== 0)}`;
    if (n.max?.some((w) => w !== 0) && !sameWords(n.max, n.min)) {
      s += `-${formatNatAddress(n.max, n.portMin !== 0)}`;
    }
    if (n.portMin !== 0) {
      s += `:${n.portMin}`;
      if (n.portMax !== 0 && n.portMax !== n.portMin) {
        s += `-${n.portMax}`;
      }
    }
  }
  const flags = [n.persistent ? "persistent" : "", n.hash ? "hash" : "", n.random ? "random" : ""];
  return `${[s, ...flags.filter((f) => f !== "")].join(",")})`;
}

function formatCt(a: OdpAction & { kind: "ct" }): string {
  const parts: string[] = [];
  if (a.commit) {
    parts.push("commit");
  }
  if (a.force) {
    parts.push("force_commit");
  }
  if (a.zone !== 0) {
    parts.push(`zone=${a.zone}`);
  }
  if (a.mark !== null) {
    parts.push(`mark=${formatAltHex(a.mark.value)}/${formatAltHex(a.mark.mask)}`);
  }
  if (a.label !== null) {
    const exact = a.label.mask.every((w) => w === 0xffffffff);
    const mask = exact ? "" : `/${formatHexWords(a.label.mask)}`;
    parts.push(`label=${formatHexWords(a.label.value)}${mask}`);
  }
  if (a.helper !== null) {
    parts.push(`helper=${a.helper}`);
  }
  if (a.timeout !== null) {
    parts.push(`timeout=${a.timeout}`);
  }
  if (a.nat !== null) {
    parts.push(formatNat(a.nat));
  }
  return parts.length === 0 ? "ct" : `ct(${parts.join(",")})`;
}

function formatPushNsh(a: OdpAction & { kind: "push_nsh" }): string {
  let s = formatNshKey(a.key);
  const mdtype = a.key[NSH_MDTYPE_WORD];
  if (mdtype === NSH_MD_TYPE2) {
    s += `,md2=${formatHexNumber(a.md2 ?? new Uint8Array(0))}`;
  } else if (mdtype !== NSH_MD_TYPE1) {
    s += ",<error: unknown mdtype>";
  }
  return `push_nsh(${s})`;
}

function formatSample(a: OdpAction & { kind: "sample" }, names: PortNames): string {
  const percent = ((100 * a.probability) / SAMPLE_ALWAYS).toFixed(1);
  return `sample(sample=${percent}%,actions(${formatOdpActions(a.actions, names)}))`;
}

function formatHash(a: OdpAction & { kind: "hash" }): string {
  return `hash(${a.alg}(${a.basis}))`;
}

function formatPushVlan(tpid: number, tci: number): string {
  const type = tpid === ETH_TYPE.VLAN_8021Q ? "" : `tpid=${formatHexPadded(tpid, 4)},`;
  return `push_vlan(${type}${formatVlanTci(tci, 0xffff, false)})`;
}

function mac(w: Uint32Array): string {
  return formatMac(w[0] as number, w[1] as number);
}

function formatTnlPush(a: OdpAction & { kind: "tnl_push" }, names: PortNames): string {
  const header = formatTnlPushHeader(a.tnlType, a.header);
  const [tnl, out] = [formatPort(a.tnlPort, names), formatPort(a.outPort, names)];
  return `tnl_push(tnl_port(${tnl}),${header},out_port(${out}))`;
}

function formatCheckPktLen(a: OdpAction & { kind: "check_pkt_len" }, names: PortNames): string {
  const [gt, le] = [formatOdpActions(a.greater, names), formatOdpActions(a.lessEqual, names)];
  return `check_pkt_len(size=${a.size},gt(${gt}),le(${le}))`;
}

function formatSetMasked(a: OdpAction & { kind: "set_masked" }): string {
  if (a.attr === "nsh") {
    return `set(nsh(${formatNshMasked(a.value, a.mask)}))`;
  }
  return `set(${formatOdpWords(a.attr, a.value, a.mask, null, false)})`;
}

/** One action. */
export function formatOdpAction(a: OdpAction, names: PortNames): string {
  switch (a.kind) {
    case "output":
      return formatPort(a.port, names);
    case "userspace":
      return formatUserspace(a, names);
    case "set":
      return `set(${formatOdpKeyAttr(a.key, null, null, true)})`;
    case "set_masked":
      return formatSetMasked(a);
    case "push_vlan":
      return formatPushVlan(a.tpid, a.tci);
    case "pop_vlan":
    case "ct_clear":
    case "pop_eth":
    case "drop":
      return a.kind;
    case "sample":
      return formatSample(a, names);
    case "recirc":
      return `recirc(${formatAltHex(a.recircId)})`;
    case "hash":
      return formatHash(a);
    case "push_mpls":
    case "add_mpls":
      return `${a.kind}(${formatMplsLse(a.lse)},eth_type=0x${a.ethType.toString(16)})`;
    case "pop_mpls":
      return `pop_mpls(eth_type=0x${a.ethType.toString(16)})`;
    case "ct":
      return formatCt(a);
    case "trunc":
      return `trunc(${a.maxLen})`;
    case "push_eth":
      return `push_eth(src=${mac(a.src)},dst=${mac(a.dst)})`;
    case "push_nsh":
      return formatPushNsh(a);
    case "pop_nsh":
      return "pop_nsh()";
    case "meter":
      return `meter(${a.meterId})`;
    case "clone":
      return `clone(${formatOdpActions(a.actions, names)})`;
    case "check_pkt_len":
      return formatCheckPktLen(a, names);
    case "tnl_push":
      return formatTnlPush(a, names);
    case "tnl_pop":
      return `tnl_pop(${formatPort(a.port, names)})`;
    case "lb_output":
      return `lb_output(${a.bondId})`;
  }
}

/** A list of actions; an empty one is `drop`. */
export function formatOdpActions(actions: readonly OdpAction[], names: PortNames): string {
  return actions.length === 0 ? "drop" : actions.map((a) => formatOdpAction(a, names)).join(",");
}
