import type { Graph } from '@kelpie/onnx';
import type { Model } from './architecture.js';
import { loraA, loraB, loraNorm, ModelBuilder } from './model-builder.js';
import type { LoraModule } from './parameters.js';
import type { Arithmetic } from './weights.js';

/**
 * What DoRA divides by, one output [out] a module: the norm of each row of W + scaling B A. Liu et al. 2024,
 * arXiv:2402.09353: y = m/norm (W + scaling B A) x + bias, the norm held still in the gradient (their section 4.3), which
 * is why it is computed apart from the model. Where W is stored [in, out] the rows are its columns.
 */
export function normGraph({
  model,
  lora,
  dtype,
}: {
  readonly model: Model;
  readonly lora: readonly LoraModule[];
  readonly dtype: Arithmetic;
}): Graph {
  const m = new ModelBuilder({ parameters: model.parameters, mode: { kind: 'sequence', present: false }, dtype });
  const { g } = m;
  const linears = new Map(model.linears.map((linear) => [linear.name, linear]));
  for (const { module, rank, scaling } of lora.filter(({ dora }) => dora)) {
    const { inFeatures, outFeatures, transposed } = linears.get(module)!;
    const a = g.input(loraA(module), dtype, [rank, inFeatures]);
    const b = g.input(loraB(module), dtype, [outFeatures, rank]);
    const update = transposed
      ? g.matmul(a, b, { transA: true, transB: true, alpha: scaling })
      : g.matmul(b, a, { alpha: scaling });
    const adapted = g.add(m.parameter(`${module}.weight`), update);
    g.output(loraNorm(module), g.sqrt(g.sum(g.mul(adapted, adapted), [transposed ? 0 : 1], false)));
  }
  return g.build();
}
