// Lists of words in sentences.

/** "a", "a and b", "a, b, and c" (ovs: english_list_delimiter). */
export function englishList(items: readonly string[]): string {
  const n = items.length;
  return items
    .map((item, i) =>
      i === 0 ? item : n > 2 ? `${i === n - 1 ? ", and " : ", "}${item}` : ` and ${item}`,
    )
    .join("");
}
