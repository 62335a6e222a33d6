// A text that is equal exactly for equal lists of actions: what frozen states are shared by.
//
// Actions are plain data, so their members are walked generically; a field stands for itself by its
// name. The text of an action is remembered with the action, which never changes
// (ovs: ofproto/ofproto-dpif-rid.c frozen_state_equal compares the encoded actions instead).

import type { Action } from "./actions/types.ts";

/** Nested values that an action may hold; deeper ones stop the walk. */
export const ACTION_KEY_DEPTH_MAX = 1000;

const memo = new WeakMap<Action, string>();

export function actionsKey(actions: readonly Action[]): string {
  let key = "";
  for (const a of actions) {
    key += `${actionKey(a)} `;
  }
  return key;
}

function actionKey(a: Action): string {
  const known = memo.get(a);
  if (known !== undefined) {
    return known;
  }
  const key = valueKey(a, 0);
  memo.set(a, key);
  return key;
}

function valueKey(value: unknown, depth: number): string {
  if (typeof value !== "object" || value === null) {
    return String(value);
  }
  if (depth > ACTION_KEY_DEPTH_MAX) {
    return "...";
  }
  if (value instanceof Uint32Array || value instanceof Uint8Array) {
    return `<${value.join(".")}>`;
  }
  if (Array.isArray(value)) {
    return `[${value.map((v) => valueKey(v, depth + 1)).join(",")}]`;
  }
  if ("slot" in value && "name" in value) {
    return `"${String(value.name)}"`;
  }
  return `{${Object.entries(value)
    .map(([k, v]) => `${k}:${valueKey(v, depth + 1)}`)
    .join(",")}}`;
}
