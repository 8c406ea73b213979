import { defineOp } from '../op.js';
import { axisOf, unsupported } from './shared/infer.js';
import { normalized, saved, statistic } from './shared/normalize.js';

/**
 * y = x̂ scale + bias,  x̂ = (x - mean x) r,  r = 1/√(var x + ε), over the axes from `axis` on; also gives mean and r
 * dx = r (dx̂ - mean dx̂ - x̂ mean(dx̂ x̂)),  dx̂ = dy scale;   dscale = dy x̂,  dbias = dy
 */
export const LayerNormalization = defineOp({
  opType: 'LayerNormalization',
  inputs: ['differentiable'],
  infer: ([x], { node, attributes }) => {
    const axis = axisOf((attributes.axis as number | undefined) ?? -1, x!.shape.length, node);
    return [{ dtype: x!.dtype, shape: x!.shape }, statistic(x!, axis), statistic(x!, axis)];
  },
  vjp: ({ node, attributes, inputs: [x, scale, bias], outputs, dy: [dy, ...others], wanted }, g) => {
    if (others.some((other) => other !== undefined)) throw unsupported(node, 'a gradient through mean and deviation');
    if (dy === undefined) return [];
    const axes = normalized(x!.shape, axisOf((attributes.axis as number | undefined) ?? -1, x!.shape.length, node));
    const epsilon = g.scalar((attributes.epsilon as number | undefined) ?? 1e-5, x!.dtype);
    const hat = () => {
      const centred = g.sub(x!, saved(outputs, 1, x!) ?? g.mean(x!, axes));
      const r = saved(outputs, 2, x!) ?? g.reciprocal(g.sqrt(g.add(g.mean(g.mul(centred, centred), axes), epsilon)));
      return { r, hat: g.mul(centred, r) };
    };
    const dbias = wanted[2] && bias !== undefined ? dy : undefined;
    if (!wanted[0] && !wanted[1]) return [undefined, undefined, dbias];
    const { r, hat: unit } = hat();
    const scaled = wanted[0] ? g.mul(dy, scale!) : undefined;
    const along = scaled && g.add(g.mean(scaled, axes), g.mul(unit, g.mean(g.mul(scaled, unit), axes)));
    return [scaled && along && g.mul(r, g.sub(scaled, along)), wanted[1] ? g.mul(dy, unit) : undefined, dbias];
  },
});
