import { defineOp } from '../op.js';
import { rmsInfer, rmsVjp } from './shared/normalize.js';

/** y = x r scale, r = 1/√(mean x² + ε), over the axes from `axis` on;   dx = r (dx̂ - x̂ mean(dx̂ x̂)),  x̂ = x r,  dx̂ = dy scale;   dscale = dy x̂ */
export const RMSNormalization = defineOp({
  opType: 'RMSNormalization',
  opset: 23,
  inputs: ['differentiable'],
  infer: rmsInfer,
  vjp: rmsVjp,
});
