import {
  divisor,
  ontoSequences,
  predictionsOf,
  pullToLogits,
  rowLengths,
  rowSums,
  scoresOfLogits,
  total,
} from '@kelpie/objectives';
import type { Variants } from './case.js';

export const variants: Variants = {
  aligned(inputs, params) {
    params.text('layout', ['aligned']);
    const [rows = 0, tokens = 0, vocabulary = 0] = inputs.shape('logits');
    const logits = {
      rows,
      tokens,
      vocabulary,
      completionMask: inputs.mask('mask'),
      logits: inputs.numbers('logits'),
      ids: inputs.numbers('labels'),
      temperature: params.number('temperature', 1),
    };
    const { logprobs, entropy, logSumSquares } = scoresOfLogits(logits, ['logprobs', 'entropy', 'logSumSquares']);
    const cotangents = { logprobs: inputs.numbers('cot_logp'), entropy: inputs.numbers('cot_entropy') };
    const products = logprobs!.map(
      (value, at) => cotangents.logprobs[at]! * value + cotangents.entropy[at]! * entropy![at]!,
    );
    const sums = rowSums(logits, logprobs!);
    const lengths = rowLengths(logits);
    return {
      values: {
        loss: total(rowSums(logits, products)),
        logps: logprobs!,
        entropy: entropy!,
        log_sum_sq: logSumSquares!,
        seq_logps: sums,
        mean_logps: sums.map((sum, row) => sum / divisor(lengths[row]!)),
        seq_lengths: lengths,
      },
      grads: { logits: pullToLogits(logits, cotangents) },
    };
  },
  shifted(inputs, params) {
    params.text('layout', ['shifted']);
    const [rows = 0, tokens = 0, vocabulary = 0] = inputs.shape('logits');
    const predictions = predictionsOf({
      rows,
      tokens,
      vocabulary,
      completionMask: inputs.mask('completion_mask'),
      logits: inputs.numbers('logits'),
      ids: inputs.numbers('input_ids'),
      temperature: params.number('temperature', 1),
    });
    const logprobs = scoresOfLogits(predictions, ['logprobs']).logprobs!;
    const sums = rowSums(predictions, logprobs);
    const ones = logprobs.map(() => 1);
    return {
      values: { loss: total(sums), logps: logprobs, mask: predictions.completionMask, seq_logps: sums },
      grads: { logits: ontoSequences(pullToLogits(predictions, { logprobs: ones }), { rows, tokens, vocabulary }) },
    };
  },
};
