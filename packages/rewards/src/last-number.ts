/** A sign after a word or a bracket is a minus between two numbers. Commas part thousands. */
const numbers = /(?:(?<![\p{L}\d)\]])[-−])?(?:(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?/gu;

/** The last number of a text: `1,234.50` is 1234.5. */
export function lastNumber(text: string): number | undefined {
  const last = text.match(numbers)?.at(-1);
  return last === undefined ? undefined : Number(last.replaceAll(',', '').replace('−', '-'));
}
