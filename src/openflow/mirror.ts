// The mirrors of one bridge: what is copied, and to where.
//
// A mirror selects packets by the bundle that they come in by (sources), the bundle that they go out
// to (destinations) and the VLAN, and sends copies to a bundle or into a VLAN. There are at most 32,
// so that sets of mirrors are bit masks: translation asks by bundle and gets a mask.
//
// Invariants
// - The index of a mirror is its bit. A bundle that is an output of a mirror carries nothing else.
// - `dups` of a mirror is the set of mirrors with the same output, itself included.
// ovs: ofproto/ofproto-dpif-mirror.c.

import type { XBridge, XBundle } from "./xbridge.ts";

/** Mirrors that a bridge can have. */
export const MIRRORS_MAX = 32;

/** A mirror as configured. `T` identifies it to whoever configures it. */
export interface MirrorSettings {
  readonly name: string;
  readonly srcs: readonly XBundle[];
  readonly dsts: readonly XBundle[];
  /** 4096 flags, or null for all VLANs. */
  readonly vlans: Uint8Array | null;
  readonly outBundle: XBundle | null;
  /** -1 if there is an output bundle. */
  readonly outVlan: number;
  /** Bytes of each copy; 0 is all of them. */
  readonly snaplen: number;
}

export interface Mirror {
  readonly key: string;
  readonly index: number;
  settings: MirrorSettings;
  dups: number;
  packets: number;
  bytes: number;
}

interface Masks {
  src: number;
  dst: number;
  out: number;
}

const NO_MASKS: Readonly<Masks> = { src: 0, dst: 0, out: 0 };

function sameSet<T>(a: readonly T[], b: readonly T[]): boolean {
  const s = new Set(a);
  return s.size === new Set(b).size && b.every((x) => s.has(x));
}

function sameVlans(a: Uint8Array | null, b: Uint8Array | null): boolean {
  if (a === null || b === null) {
    return a === b;
  }
  return a.every((v, i) => (v !== 0) === (b[i] !== 0));
}

export class Mbridge {
  needRevalidate = false;
  readonly #mirrors: (Mirror | null)[] = new Array<Mirror | null>(MIRRORS_MAX).fill(null);
  readonly #masks = new Map<XBundle, Masks>();

  hasMirrors(): boolean {
    return this.#mirrors.some((m) => m !== null);
  }

  mirrors(): readonly Mirror[] {
    return this.#mirrors.filter((m) => m !== null);
  }

  /** The mirror with a bit. */
  get(index: number): Mirror | null {
    return this.#mirrors[index] ?? null;
  }

  lookup(key: string): Mirror | null {
    return this.#mirrors.find((m) => m?.key === key) ?? null;
  }

  /** Mirrors that packets received on a bundle trigger. */
  bundleSrc(b: XBundle): number {
    return (this.#masks.get(b) ?? NO_MASKS).src;
  }

  /** Mirrors that packets sent to a bundle trigger. */
  bundleDst(b: XBundle): number {
    return (this.#masks.get(b) ?? NO_MASKS).dst;
  }

  /** Mirrors that output to a bundle. */
  bundleOut(b: XBundle): number {
    return (this.#masks.get(b) ?? NO_MASKS).out;
  }

  /**
   * Makes or changes a mirror. "full" if there are too many already. The caller revalidates.
   */
  set(key: string, settings: MirrorSettings): "ok" | "unchanged" | "full" {
    let m = this.lookup(key);
    if (m === null) {
      const index = this.#mirrors.indexOf(null);
      if (index < 0) {
        return "full";
      }
      m = { key, index, settings, dups: 0, packets: 0, bytes: 0 };
      this.#mirrors[index] = m;
    } else if (
      sameSet(m.settings.srcs, settings.srcs) &&
      sameSet(m.settings.dsts, settings.dsts) &&
      sameVlans(m.settings.vlans, settings.vlans) &&
      m.settings.outBundle === settings.outBundle &&
      m.settings.outVlan === settings.outVlan &&
      m.settings.snaplen === settings.snaplen
    ) {
      return "unchanged";
    }
    m.settings = settings;
    this.#update();
    return "ok";
  }

  delete(key: string): void {
    const m = this.lookup(key);
    if (m !== null) {
      this.#mirrors[m.index] = null;
      this.#update();
    }
  }

  /** Takes a bundle that goes away out of all mirrors; mirrors that output to it go with it. */
  forgetBundle(b: XBundle): void {
    for (const m of this.mirrors()) {
      const s = m.settings;
      if (s.outBundle === b) {
        this.#mirrors[m.index] = null;
      } else if (s.srcs.includes(b) || s.dsts.includes(b)) {
        const [srcs, dsts] = [s.srcs.filter((x) => x !== b), s.dsts.filter((x) => x !== b)];
        m.settings = { ...s, srcs, dsts };
        this.needRevalidate = true;
      }
    }
    this.#update();
  }

  #update(): void {
    this.#masks.clear();
    const all = this.mirrors();
    for (const m of all) {
      const bit = 1 << m.index;
      for (const b of m.settings.srcs) {
        this.#masksOf(b).src |= bit;
      }
      for (const b of m.settings.dsts) {
        this.#masksOf(b).dst |= bit;
      }
      if (m.settings.outBundle !== null) {
        this.#masksOf(m.settings.outBundle).out |= bit;
      }
      m.dups = bit;
    }
    for (const [i, a] of all.entries()) {
      for (const b of all.slice(i + 1)) {
        if (
          a.settings.outBundle === b.settings.outBundle &&
          a.settings.outVlan === b.settings.outVlan
        ) {
          a.dups |= 1 << b.index;
          b.dups |= a.dups;
        }
      }
    }
  }

  #masksOf(b: XBundle): Masks {
    const old = this.#masks.get(b);
    if (old !== undefined) {
      return old;
    }
    const fresh: Masks = { src: 0, dst: 0, out: 0 };
    this.#masks.set(b, fresh);
    return fresh;
  }

  /** Credits packets to every mirror of a set. */
  updateStats(mirrors: number, packets: number, bytes: number): void {
    for (const m of this.mirrors()) {
      if ((mirrors & (1 << m.index)) !== 0) {
        m.packets += packets;
        m.bytes += bytes;
      }
    }
  }
}

/** Mirrors that packets received on a bundle trigger, as a bit set. */
export function xbundleMirrorSrc(xbridge: XBridge, xbundle: XBundle): number {
  return xbridge.mbridge.bundleSrc(xbundle);
}

/** Mirrors that packets sent to a bundle trigger. */
export function xbundleMirrorDst(xbridge: XBridge, xbundle: XBundle): number {
  return xbridge.mbridge.bundleDst(xbundle);
}

/** Mirrors that output to a bundle. */
export function xbundleMirrorOut(xbridge: XBridge, xbundle: XBundle): number {
  return xbridge.mbridge.bundleOut(xbundle);
}
