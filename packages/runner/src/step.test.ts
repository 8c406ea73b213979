import { dpo, meanMetrics, sft } from '@kelpie/objectives';
import { describe, expect, it } from 'vitest';
import { referenceScores } from './reference.js';
import { partOf } from './rows.js';
import { accumulate, type StepOptions, type Task } from './step.js';
import { scratch, tinyPairs, tinyPolicy, tinyTexts } from './testing/tiny.js';

const place = scratch();
const options: StepOptions = { step: 1, entropy: true };

/** One step over rows 0 .. 3, split as asked, from the same weights; its gradient as one list. */
async function stepOf(objective: Task['objective'], split: readonly (readonly number[])[], more: Partial<StepOptions>) {
  await using policy = await tinyPolicy(place('model'), { dtype: 'float64' });
  const examples = objective.rows === 'pairs' ? tinyPairs(4) : tinyTexts(4);
  const reference = await referenceScores({ policy, examples, scores: objective.rows === 'pairs' ? ['logprobs'] : [] });
  const objectiveOptions = objective.rows === 'pairs' ? { nllWeight: 1 } : {};
  const parts = split.map((indices) => partOf(objective.rows, { examples, reference }, indices));
  const result = await accumulate({ policy, objective, objectiveOptions }, parts, { ...options, ...more });
  const gradient = [...(await policy.gradients()).values()].flatMap(({ data }) => [...data]);
  return { ...result, gradient };
}

const distance = (a: readonly number[], b: readonly number[]) => Math.hypot(...a.map((x, i) => x - b[i]!));

describe('a step in micro-batches', () => {
  it('is the step as a whole by default', async () => {
    const whole = await stepOf(dpo, [[0, 1, 2, 3]], {});
    const split = await stepOf(dpo, [[0], [1, 2, 3]], {});
    expect(split.loss).toBeCloseTo(whole.loss, 12);
    expect(distance(split.gradient, whole.gradient)).toBeLessThan(1e-12);
    expect(split.microBatches).toHaveLength(2);
  });

  it('averaged by micro-batch, is the mean of steps of one micro-batch each', async () => {
    const split = await stepOf(dpo, [[0], [1, 2, 3]], { average: 'micro-batches' });
    const [first, second] = [await stepOf(dpo, [[0]], {}), await stepOf(dpo, [[1, 2, 3]], {})];
    expect(split.loss).toBeCloseTo((first.loss + second.loss) / 2, 12);
    const mean = first.gradient.map((x, i) => (x + second.gradient[i]!) / 2);
    expect(distance(split.gradient, mean)).toBeLessThan(1e-12);
    const whole = await stepOf(dpo, [[0, 1, 2, 3]], {});
    expect(Math.abs(split.loss - whole.loss)).toBeGreaterThan(1e-4);
  });

  it('tells the metrics of each micro-batch', async () => {
    const { metrics, microBatches } = await stepOf(sft, [[0], [1, 2, 3]], {});
    const alone = await stepOf(sft, [[0]], {});
    expect(meanMetrics(microBatches[0]!).entropy).toBeCloseTo(meanMetrics(alone.metrics).entropy!, 12);
    expect(metrics.entropy!.count).toBe(microBatches[0]!.entropy!.count + microBatches[1]!.entropy!.count);
  });

  it('averaged by micro-batch, an objective that is not separable sees each alone', async () => {
    const whole = { ...dpo, separable: false };
    const average = 'micro-batches';
    const split = await stepOf(whole, [[0], [1, 2, 3]], { average });
    const separable = await stepOf(dpo, [[0], [1, 2, 3]], { average });
    expect(split.loss).toBe(separable.loss);
    expect(split.gradient).toEqual(separable.gradient);
  });
});
