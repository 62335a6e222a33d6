// Translating learn: the flow that it makes out of the packet, and what becomes of it.
//
// Whether the flow is really added depends on `ctx.sideEffects`; that the megaflow depends on the
// bits that it copies does not.
//
// ovs: lib/learn.c learn_execute, learn_mask; ofproto/ofproto-dpif-xlate.c xlate_learn_action.

import { newValue } from "../flow/field-value.ts";
import {
  addEthernetPrereq,
  matchSetSubfield,
  newMatch,
  OFP_DEFAULT_PRIORITY,
} from "../flow/match.ts";
import { miniMatchOf } from "../flow/minimatch.ts";
import { OFPP } from "../flow/ofp-port.ts";
import {
  copyBits,
  maskSubfield,
  readSubfield,
  type Subfield,
  subfieldMask,
  writeSubfield,
} from "../flow/subfield.ts";
import type { TunTable } from "../flow/tun-metadata.ts";
import { formatActions } from "./actions/actions.ts";
import { type Action, type ActionOf, type LearnSpec, NX_LEARN_F } from "./actions/types.ts";
import { formatMatch } from "./match-text.ts";
import { type FlowMod, OFPFC } from "./messages/types-flow.ts";
import { FLOW_FLAG } from "./rule.ts";
import { VERSION_MAX } from "./rule-criteria.ts";
import { OFPG } from "./messages/names.ts";
import { report, type XlateCtx } from "./xlate-ctx.ts";
import { reportSubfield } from "./xlate-report.ts";

const U64_MAX = 0xffffffffffffffffn;
const BUFFER_NONE = 0xffffffff;

function cookieOf(words: Uint32Array): bigint {
  return (BigInt(words[0] as number) << 32n) | BigInt(words[1] as number);
}

/** The value that a spec copies, with at least as many bits as it has. */
function specValue(spec: LearnSpec, ctx: XlateCtx): Uint32Array {
  if (spec.src !== null) {
    return readSubfield(spec.src, ctx.flow, ctx.xbridge.tunTable);
  }
  return spec.imm ?? new Uint32Array(1);
}

/** set_field of some bits of a field, as `load` makes it. */
function loadAction(dst: Subfield, value: Uint32Array, nBits: number): Action {
  const whole = newValue(dst.field);
  copyBits({ v: value, ofs: 0 }, { v: whole, ofs: dst.ofs }, nBits);
  const mask = subfieldMask({ field: dst.field, ofs: dst.ofs, bits: nBits });
  return {
    kind: "set_field",
    field: dst.field,
    value: whole,
    mask,
    flowHasVlan: false,
    raw: "nx_reg_load",
  };
}

/** Ports that a learned flow may output to. */
function isLearnPort(port: number): boolean {
  return (
    port < OFPP.MAX ||
    port === OFPP.IN_PORT ||
    port === OFPP.FLOOD ||
    port === OFPP.LOCAL ||
    port === OFPP.ALL
  );
}

/** Some port if the value fits 16 bits. */
function outputPort(value: Uint32Array): number | null {
  const low = value[value.length - 1] as number;
  const high = value.subarray(0, -1).some((w) => w !== 0);
  return high || low > 0xffff || !isLearnPort(low) ? null : low;
}

/** The flow mod that learn makes of the packet as it is now. */
function learnExecute(a: ActionOf<"learn">, ctx: XlateCtx): FlowMod {
  const tab: TunTable = ctx.xbridge.tunTable;
  const match = newMatch(tab);
  const actions: Action[] = [];
  if (a.finIdleTimeoutS !== 0 || a.finHardTimeoutS !== 0) {
    actions.push({
      kind: "fin_timeout",
      finIdleTimeoutS: a.finIdleTimeoutS,
      finHardTimeoutS: a.finHardTimeoutS,
    });
  }
  for (const spec of a.specs) {
    const value = specValue(spec, ctx);
    if (spec.dstType === "output") {
      const port = outputPort(value);
      if (port !== null) {
        actions.push({ kind: "output", port, maxLen: 0 });
      }
    } else if (spec.dst !== null && spec.dstType === "match") {
      matchSetSubfield(spec.dst, value, match);
      addEthernetPrereq(match, spec.dst.field);
    } else if (spec.dst !== null) {
      actions.push(loadAction(spec.dst, value, spec.nBits));
    }
  }
  const newCookie = cookieOf(a.cookie);
  return {
    match,
    priority: a.priority,
    cookie: 0n,
    cookieMask: 0n,
    newCookie,
    modifyCookie: newCookie !== U64_MAX,
    tableId: a.tableId,
    command: OFPFC.MODIFY_STRICT,
    idleTimeoutS: a.idleTimeoutS,
    hardTimeoutS: a.hardTimeoutS,
    bufferId: BUFFER_NONE,
    outPort: OFPP.NONE,
    outGroup: OFPG.ANY,
    flags: (a.flags & NX_LEARN_F.SEND_FLOW_REM) !== 0 ? FLOW_FLAG.SEND_FLOW_REM : 0,
    importance: 0,
    actions,
  };
}

/** The flow as the trace shows it. */
function flowText(fm: FlowMod): string {
  let text = `table=${fm.tableId} ${formatMatch(fm.match, null, OFP_DEFAULT_PRIORITY)}`;
  text = `${text.trimEnd()} priority=${fm.priority}`;
  if (fm.newCookie !== 0n) {
    text += ` cookie=0x${fm.newCookie.toString(16)}`;
  }
  if (fm.idleTimeoutS !== 0) {
    text += ` idle=${fm.idleTimeoutS}`;
  }
  if (fm.hardTimeoutS !== 0) {
    text += ` hard=${fm.hardTimeoutS}`;
  }
  if ((fm.flags & FLOW_FLAG.SEND_FLOW_REM) !== 0) {
    text += " send_flow_rem";
  }
  return `${text} actions=${formatActions(fm.actions, { ports: null, tables: null })}`;
}

function writeResult(ctx: XlateCtx, dst: Subfield, success: boolean): void {
  const tab = ctx.xbridge.tunTable;
  maskSubfield(dst, ctx.wc, tab);
  writeSubfield(dst, Uint32Array.of(success ? 1 : 0), ctx.flow, tab);
  reportSubfield(ctx, dst);
}

export function learnAction(ctx: XlateCtx, a: ActionOf<"learn">): void {
  for (const spec of a.specs) {
    if (spec.src !== null) {
      maskSubfield(spec.src, ctx.wc, ctx.xbridge.tunTable);
    }
  }
  if (ctx.xcache === null && !ctx.sideEffects) {
    report(ctx, "warn", "suppressing side effects, so learn action ignored");
    return;
  }
  const fm = learnExecute(a, ctx);
  if (ctx.rec.on) {
    report(ctx, "detail", flowText(fm));
  }
  const { ofproto } = ctx.xbridge;
  let success = true;
  let error: string | null = null;
  if (ctx.sideEffects) {
    const answer = ofproto.flowModLearn(fm, a.limit);
    error = answer.error;
    success = answer.belowLimit;
  } else if (a.limit !== 0 && !exists(ctx, fm)) {
    // The result depends on how many flows there will be, so nothing may keep it.
    ctx.avoidCaching = true;
  }
  if (a.resultDst !== null && (a.flags & NX_LEARN_F.WRITE_RESULT) !== 0) {
    writeResult(ctx, a.resultDst, success);
  }
  if (success) {
    ctx.xcache?.push({ kind: "learn", ofproto, flowMod: fm, limit: a.limit });
  } else {
    report(ctx, "detail", "Limit exceeded, learn failed");
  }
  if (error !== null) {
    report(ctx, "error", `LEARN action execution failed (${error}).`);
  }
}

/** The learned flow is in its table. */
function exists(ctx: XlateCtx, fm: FlowMod): boolean {
  const cls = ctx.xbridge.ofproto.tables[fm.tableId]?.cls;
  const match = miniMatchOf(fm.match.flow, fm.match.wc);
  return cls !== undefined && cls.findExactly(match, fm.priority, VERSION_MAX) !== null;
}
