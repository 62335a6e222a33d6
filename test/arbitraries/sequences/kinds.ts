// All kinds of sequences.

import { BOND } from "./bond.ts";
import { CONNTRACK } from "./conntrack.ts";
import { NORMAL } from "./normal.ts";
import { PIPELINE } from "./pipeline.ts";
import type { SequenceKind } from "./step.ts";
import { TUNNEL } from "./tunnel.ts";

export const SEQUENCE_KINDS: readonly SequenceKind[] = [CONNTRACK, NORMAL, PIPELINE, TUNNEL, BOND];
