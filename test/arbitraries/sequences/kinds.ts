// All kinds of sequences.

import { CONNTRACK } from "./conntrack.ts";
import { NORMAL } from "./normal.ts";
import type { SequenceKind } from "./step.ts";

export const SEQUENCE_KINDS: readonly SequenceKind[] = [CONNTRACK, NORMAL];
