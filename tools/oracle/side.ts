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
 * Makes neutral what differs from run to run of the real switch itself: times in log lines,
 * transaction ids, and recirculation ids, which count up over the life of the daemon.
 */
export function neutral(text: string): string {
  const ids = new Map<string, string>();
  return text
    .replace(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ\|\d{5}\|/gm, "*|")
    .replace(/\(xid=0x[0-9a-f]+\)/g, "(xid=*)")
    .replace(/\b(recirc\(|recirc_id\(|recirc_id=)(0x[0-9a-f]+|[1-9]\d*)/g, (_, head, id) => {
      if (!ids.has(id)) {
        ids.set(id, `<${ids.size + 1}>`);
      }
      return `${head}${ids.get(id)}`;
    });
}
