// What the first bytes of a file say of the archive that it may be.

const GZIP_MAGIC = [0x1f, 0x8b];
const XZ_MAGIC = [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00];
const USTAR_OFS = 257;
const USTAR = [..."ustar"].map((c) => c.charCodeAt(0));

function has(bytes: Uint8Array, at: number, magic: readonly number[]): boolean {
  return magic.every((b, i) => bytes[at + i] === b);
}

export const isGzip = (head: Uint8Array): boolean => has(head, 0, GZIP_MAGIC);
export const isXz = (head: Uint8Array): boolean => has(head, 0, XZ_MAGIC);

/** True for a tar archive, and for all that is compressed. */
export function isArchive(head: Uint8Array): boolean {
  return has(head, USTAR_OFS, USTAR) || isGzip(head) || isXz(head);
}
