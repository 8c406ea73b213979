/** x with A x = b, by elimination with row pivots. A is given by rows and left as it is. */
export function solveLinear(rows: readonly Float64Array[], b: Float64Array): Float64Array {
  const size = b.length;
  const a = rows.map((row, i) => Float64Array.from([...row, b[i]!]));
  for (let column = 0; column < size; column++) {
    let pivot = column;
    for (let i = column + 1; i < size; i++) {
      if (Math.abs(a[i]![column]!) > Math.abs(a[pivot]![column]!)) pivot = i;
    }
    [a[column], a[pivot]] = [a[pivot]!, a[column]!];
    for (let i = column + 1; i < size; i++) {
      const factor = a[i]![column]! / a[column]![column]!;
      for (let j = column; j <= size; j++) a[i]![j]! -= factor * a[column]![j]!;
    }
  }
  const x = new Float64Array(size);
  for (let i = size - 1; i >= 0; i--) {
    let rest = a[i]![size]!;
    for (let j = i + 1; j < size; j++) rest -= a[i]![j]! * x[j]!;
    x[i] = rest / a[i]![i]!;
  }
  return x;
}
