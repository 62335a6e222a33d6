// What the rows of the action table share: rows without members, rows with one number, the check
// that an action's prerequisites hold.

import { isIpAny } from "../../flow/flow-is.ts";
import { P } from "../../flow/of-version.ts";
import type { RawName } from "./raw-actions.ts";
import type {
  Action,
  ActionDecoder,
  ActionDef,
  ActionKind,
  ActionOf,
  CheckContext,
} from "./types.ts";
import { putRaw } from "./wire.ts";

/** Kinds that have no members. */
export type BareKind = {
  [K in ActionKind]: Record<never, never> extends Omit<ActionOf<K>, "kind">
    ? keyof Omit<ActionOf<K>, "kind"> extends never
      ? K
      : never
    : never;
}[ActionKind];

/** For actions that can always be taken. */
export function alwaysOk(): null {
  return null;
}

/** Only OpenFlow 1.0 lets an action stand where its prerequisite is not matched. */
export function narrowToOf10(cc: CheckContext): void {
  cc.usable &= P.OF10_ANY;
}

/** An action that only makes sense for IPv4 and IPv6. */
export function wantsIp(_a: unknown, cc: CheckContext): null {
  if (!isIpAny(cc.match.flow)) {
    narrowToOf10(cc);
  }
  return null;
}

/** A row for an action without members that has one raw form. */
export function bareRow<K extends BareKind>(
  kind: K,
  raw: RawName,
  rest: Pick<ActionDef<K>, "doc"> & Partial<Pick<ActionDef<K>, "check" | "setClass" | "decoders">>,
): ActionDef<K> {
  // `kind` alone is the whole action; the compiler cannot see that for a generic K.
  const action = { kind } as ActionOf<K> & Action;
  const decode: ActionDecoder = (_raw, dc) => {
    dc.out.push(action);
    return null;
  };
  return {
    kind,
    name: kind,
    parsers: {
      [kind]: (_arg, pp) => {
        pp.out.push(action);
        return null;
      },
    },
    format: () => kind,
    encode: (_a, out, version) => {
      putRaw(out, raw, version);
    },
    decoders: { [raw]: decode },
    check: alwaysOk,
    setClass: null,
    ...rest,
  };
}
