// A row of the translation table: how one kind of action is translated, and what freezing, cloning
// and MPLS ask of it. The rows are spread over xlate-*.ts by family; xlate-actions.ts joins them.
//
// ovs: ofproto/ofproto-dpif-xlate.c do_xlate_actions, reversible_actions, freeze_unroll_actions,
// recirc_for_mpls.

import type { Action, ActionKind, ActionOf } from "./actions/types.ts";
import type { XlateCtx } from "./xlate-ctx.ts";

/** Where an action stands; one object serves a whole list. */
export interface ActionPlace {
  readonly list: readonly Action[];
  index: number;
  /** Nothing follows, neither here nor in the action set. */
  last: boolean;
  /** The list is that of a group's bucket. */
  readonly groupBucket: boolean;
}

/**
 * How to go on after an action: with the next; not at all with this list; with the next, without
 * looking whether the translation froze (tables do that themselves); if it froze, with the action
 * behind this one; or not, because the action has translated the rest of the list itself.
 */
export type Outcome = "next" | "stop" | "went" | "behind" | "done";

export interface XlateRow<K extends ActionKind> {
  readonly run: (ctx: XlateCtx, a: ActionOf<K>, at: ActionPlace) => Outcome;
  /** What it does to the packet can be undone by further datapath actions. */
  readonly reversible: boolean;
  /**
   * What becomes of it when it is frozen: it is copied; copied behind an `unroll_xlate`, because it
   * may tell a controller about the table; left out; or replaced.
   */
  readonly freeze: "copy" | "unroll" | "drop" | ((a: ActionOf<K>) => Action | "unroll" | "copy");
  /** It may be translated after MPLS was popped although the headers behind are unknown. */
  readonly afterMplsPop: boolean | ((a: ActionOf<K>) => boolean);
}

export type XlateTable = { readonly [K in ActionKind]: XlateRow<K> };

/** A row; what is left out has the usual value. */
export function row<K extends ActionKind>(
  run: XlateRow<K>["run"],
  rest: Partial<Omit<XlateRow<K>, "run">> = {},
): XlateRow<K> {
  return { run, reversible: true, freeze: "copy", afterMplsPop: false, ...rest };
}

/** A row of an action after which translation always goes on with the next. */
export function plain<K extends ActionKind>(
  run: (ctx: XlateCtx, a: ActionOf<K>, at: ActionPlace) => void,
  rest: Partial<Omit<XlateRow<K>, "run">> = {},
): XlateRow<K> {
  return row<K>((ctx, a, at) => {
    run(ctx, a, at);
    return "next";
  }, rest);
}
