// One side of a differential run: something that answers command lines.

export interface Answer {
  readonly exit: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Side {
  run(argv: readonly string[], stdin?: string): Promise<Answer>;
  stop(): void;
}

/**
 * Makes neutral what differs from run to run of the real switch itself: transaction ids and the
 * numbers of recirculation ids, which count up over the life of the daemon.
 */
export function neutral(text: string): string {
  const ids = new Map<string, string>();
  return text
    .replace(/\(xid=0x[0-9a-f]+\)/g, "(xid=*)")
    .replace(/\b(recirc\(|recirc_id\(|recirc_id=)(0x[0-9a-f]+|[1-9]\d*)/g, (_, head, id) => {
      if (!ids.has(id)) {
        ids.set(id, `<${ids.size + 1}>`);
      }
      return `${head}${ids.get(id)}`;
    });
}
