// A progress bar on standard error, only where that is a terminal.

const REDRAW_MS = 100;
const COLUMNS = 30;

export class ProgressBar {
  private readonly total: number;
  private readonly on: boolean;
  private lastMs = 0;

  /** `total` of 0 is an unknown one: then there is no bar. */
  constructor(total: number) {
    this.total = total;
    this.on = process.stderr.isTTY === true && total > 0;
  }

  show(done: number): void {
    if (!this.on) {
      return;
    }
    const now = Date.now();
    if (now - this.lastMs >= REDRAW_MS) {
      this.lastMs = now;
      const part = Math.min(1, done / this.total);
      const full = Math.round(part * COLUMNS);
      const bar = `${"#".repeat(full)}${".".repeat(COLUMNS - full)}`;
      process.stderr.write(`\r[${bar}] ${Math.floor(part * 100)} %`);
    }
  }

  /** Clears the line. */
  end(): void {
    if (this.on) {
      process.stderr.write("\r\x1b[K");
    }
  }
}
