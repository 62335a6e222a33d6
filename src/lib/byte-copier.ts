// Copies short runs of bytes from array to array, without a view on each run.
//
// `dst.set(src.subarray(…))` makes an object for each copy, and a loop over bytes is slow; words
// through two DataViews, which are kept as long as the arrays stay the same, are neither. A DataView
// of a word keeps its bytes whatever they are, and needs no alignment.

/** From here on a view on the run costs less than copying it word by word. */
const LONG_BYTES = 256;

/** Part of an array of bytes, with a view on all of the array. */
export interface ViewedRange {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly from: number;
  readonly to: number;
}

export class ByteCopier {
  private dst: Uint8Array = new Uint8Array(0);
  private src: Uint8Array = this.dst;
  private to = new DataView(this.dst.buffer);
  private from = this.to;

  /** A view on the array that was copied to last, or on another one. */
  viewOn(dst: Uint8Array): DataView {
    if (dst !== this.dst) {
      this.dst = dst;
      this.to = new DataView(dst.buffer, dst.byteOffset, dst.byteLength);
    }
    return this.to;
  }

  /** Copies `src[begin, end)` to `dst`, from `at` on. */
  copy(dst: Uint8Array, at: number, src: Uint8Array, begin: number, end: number): void {
    if (src !== this.src) {
      this.src = src;
      this.from = new DataView(src.buffer, src.byteOffset, src.byteLength);
    }
    this.copyFrom(dst, at, { bytes: src, view: this.from, from: begin, to: end });
  }

  /** Copies a range to `dst`, from `at` on. */
  copyFrom(dst: Uint8Array, at: number, range: ViewedRange): void {
    const { bytes: src, view: from, from: begin, to: end } = range;
    if (end - begin >= LONG_BYTES) {
      dst.set(src.subarray(begin, end), at);
      return;
    }
    const to = this.viewOn(dst);
    let i = begin;
    let o = at;
    for (; i + 4 <= end; i += 4, o += 4) {
      to.setInt32(o, from.getInt32(i));
    }
    for (; i < end; i++, o++) {
      dst[o] = src[i] as number;
    }
  }
}
