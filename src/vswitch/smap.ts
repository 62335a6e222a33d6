// Reading typed settings out of maps of strings, as the other_config columns hold them.
//
// Reference: ovs: lib/smap.c smap_get_int, smap_get_bool: what cannot be understood is the default.

export function smapInt(map: ReadonlyMap<string, string>, key: string, fallback: number): number {
  const text = map.get(key);
  if (text === undefined || !/^\s*[+-]?\d+$/.test(text)) {
    return fallback;
  }
  const n = Number(text);
  return Math.abs(n) <= 0x7fffffff ? n : fallback;
}

export function smapUint(map: ReadonlyMap<string, string>, key: string, fallback: number): number {
  const text = map.get(key);
  if (text === undefined || !/^\s*\+?\d+$/.test(text)) {
    return fallback;
  }
  const n = Number(text);
  return n <= 0xffffffff ? n : fallback;
}

/** A setting that is "true" (any case) unless its default is true: then it must be "false". */
export function smapBool(
  map: ReadonlyMap<string, string>,
  key: string,
  fallback: boolean,
): boolean {
  const text = map.get(key)?.toLowerCase() ?? "";
  return fallback ? text !== "false" : text === "true";
}
