import { defineOp } from '../op.js';
import { rmsInfer, rmsVjp } from './shared/normalize.js';

/** RMS norm as ONNX Runtime's CPU kernel has it, in the ONNX domain: y = x r scale, r = 1/√(mean x² + ε), which is its second output;   dx = r (dx̂ - x̂ mean(dx̂ x̂)),  x̂ = x r,  dx̂ = dy scale;   dscale = dy x̂ */
export const SimplifiedLayerNormalization = defineOp({
  opType: 'SimplifiedLayerNormalization',

  inputs: ['differentiable'],
  infer: rmsInfer,
  vjp: rmsVjp,
});
