// What is said about a host dump that was opened: used, missing, wrong.

export interface Note {
  /**
   * `used`: a file and what it gave; `missing`: something that a faithful trace would need;
   * `error`: a part that could not be read and was left out.
   */
  readonly kind: "used" | "missing" | "error";
  readonly text: string;
}

export type Notes = Note[];

/** Lines listed of one file that cannot be read; more are counted. */
export const BAD_LINES_SHOWN_MAX = 20;
