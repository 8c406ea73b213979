import type { Expected, GoldenCase, GoldenFile, Numbers, Variants } from './case.js';
import { Inputs, Params } from './case.js';

/** The worst of what was compared: |a - b| in units of what is allowed, at most 1 where all holds. */
export interface Comparison {
  readonly what: string;
  readonly ratio: number;
  readonly compared: number;
}

const absolute = 1e-12;
const relative = 1e-9;

/** One case against the package. Throws where something is absent that should be there. */
export function compareCase(file: GoldenFile, golden: GoldenCase, variants: Variants): Comparison {
  const { batch, variant, params, expected, grads = {} } = golden;
  const compute = variants[variant];
  if (compute === undefined) throw new Error(`no variant \`${variant}\` of ${file.objective}`);
  const tensors = file.batches[batch];
  if (tensors === undefined) throw new Error(`no batch \`${batch}\``);
  const options = new Params(params);
  const { values, grads: gradients = {} } = compute(new Inputs(tensors), options, golden);
  const unread = options.unread(variant);
  if (unread.length > 0) throw new Error(`unknown options ${unread.join(', ')}`);
  const worst = new Worst();
  compare(worst, 'expected', values, expected);
  compare(worst, 'grads', gradients, grads);
  return worst;
}

class Worst implements Comparison {
  what = 'nothing compared';
  ratio = 0;
  compared = 0;

  number(what: string, got: number, wanted: number): void {
    this.compared++;
    const ratio =
      Object.is(got, wanted) || got === wanted ? 0 : Math.abs(got - wanted) / (absolute + relative * Math.abs(wanted));
    const told = Number.isNaN(ratio) ? Number.POSITIVE_INFINITY : ratio;
    if (told > this.ratio || this.compared === 1) {
      this.what = told > 1 ? `${what}: ${got}, not ${wanted}` : what;
      this.ratio = told;
    }
  }
}

function compare(worst: Worst, what: string, got: Numbers | undefined, wanted: Expected): void {
  if (got === undefined) throw new Error(`\`${what}\` was not computed`);
  if (typeof wanted !== 'object') {
    if (typeof got !== 'number') throw new Error(`\`${what}\` should be a number`);
    worst.number(what, got, Number(wanted));
  } else if (isTensor(wanted)) {
    const numbers = typeof got === 'number' ? [got] : (got as ArrayLike<number>);
    if (numbers.length !== wanted.data.length) {
      throw new Error(`\`${what}\` should be [${wanted.shape}], ${wanted.data.length} numbers, got ${numbers.length}`);
    }
    wanted.data.forEach((value, i) => {
      worst.number(`${what}[${i}]`, numbers[i]!, Number(value));
    });
  } else {
    for (const [name, inner] of Object.entries(wanted))
      compare(worst, `${what}.${name}`, (got as Readonly<Record<string, Numbers>>)[name], inner);
  }
}

function isTensor(
  value: object,
): value is { readonly shape: readonly number[]; readonly data: readonly (number | string)[] } {
  return 'data' in value && 'shape' in value;
}
