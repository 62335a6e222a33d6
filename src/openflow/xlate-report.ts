// Texts of a trace that several kinds of action share.
//
// ovs: ofproto/ofproto-dpif-xlate.c xlate_report_subfield, xlate_report_action_set,
// xlate_report_actions.

import { mfFormat } from "../flow/field-text.ts";
import { fieldGet } from "../flow/field-value.ts";
import { formatSubfield, readSubfield, type Subfield } from "../flow/subfield.ts";
import { actionSetToList, formatActions } from "./actions/actions.ts";
import type { Action } from "./actions/types.ts";
import { report, type XlateCtx } from "./xlate-ctx.ts";

/** Tells the value that a subfield has been given. */
export function reportSubfield(ctx: XlateCtx, sf: Subfield): void {
  if (!ctx.rec.on) {
    return;
  }
  const tab = ctx.xbridge.tunTable;
  const value =
    sf.ofs === 0 && sf.bits >= sf.field.bits
      ? mfFormat(sf.field, fieldGet(sf.field, ctx.flow, tab), null, null)
      : hexOf(readSubfield(sf, ctx.flow, tab));
  report(ctx, "detail", `${formatSubfield(sf)} is now ${value}`);
}

/** Hexadecimal without leading zeros; "0" for zero (ovs: ds_put_hex). */
function hexOf(words: Uint32Array): string {
  let text = "";
  for (const w of words) {
    if (text !== "") {
      text += w.toString(16).padStart(8, "0");
    } else if (w !== 0) {
      text = `0x${w.toString(16)}`;
    }
  }
  return text === "" ? "0" : text;
}

/** `title`, a colon and the actions as text. */
export function actionsText(title: string, actions: readonly Action[]): string {
  return `${title}: ${formatActions(actions, { ports: null, tables: null })}`;
}

/** Tells what the action set holds; `verb` is "was" or "is". */
export function reportActionSet(ctx: XlateCtx, verb: string): void {
  if (!ctx.rec.on) {
    return;
  }
  const actions = actionSetToList(ctx.actionSetActions);
  report(
    ctx,
    "detail",
    actions.length === 0 ? `action set ${verb} empty` : actionsText(`action set ${verb}`, actions),
  );
}
