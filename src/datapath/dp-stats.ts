// What a datapath counts of the packets that it handles.

export interface DpStats {
  /** Packets that came in by ports. */
  received: number;
  hits: number;
  misses: number;
  lost: number;
  /** Hits in the exact-match cache. */
  exactHits: number;
  /** Hits of megaflows that look at hardly anything, found without either cache. */
  simpleHits: number;
  /** Hits in the megaflow cache, and the subtables gone through. */
  maskedHits: number;
  maskedLookups: number;
  /** The part of maskedLookups that ended in a hit. */
  hitLookups: number;
  recirculations: number;
  outputs: number;
  /** Packets that actions handed up. */
  handedUp: number;
  /** Packets that conntrack kept back, and complaints about headers: neither is a loss. */
  held: number;
  badHeaders: number;
}

export function newDpStats(): DpStats {
  return {
    received: 0,
    hits: 0,
    misses: 0,
    lost: 0,
    exactHits: 0,
    simpleHits: 0,
    maskedHits: 0,
    maskedLookups: 0,
    hitLookups: 0,
    recirculations: 0,
    outputs: 0,
    handedUp: 0,
    held: 0,
    badHeaders: 0,
  };
}
