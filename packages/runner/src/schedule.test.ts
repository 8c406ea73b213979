import { describe, expect, it } from 'vitest';
import { scheduleFactor, scheduleNames } from './schedule.js';

describe('schedules', () => {
  // onnxruntime, warmup_linear_scheduler_warmupstep-30.json: PyTorch, peak 1e-3, 30 warm-up steps, 100 steps.
  const linear: [number, number][] = [
    [0, 0],
    [1, 3.3333333333333335e-5],
    [19, 0.0006333333333333333],
    [28, 0.0009333333333333333],
    [29, 0.0009666666666666667],
    [30, 0.001],
    [31, 0.0009857142857142857],
    [33, 0.0009571428571428573],
    [97, 4.2857142857142856e-5],
    [99, 1.4285714285714285e-5],
  ];

  it.each(linear)('linear at step %i is that of PyTorch', (step, rate) => {
    expect(1e-3 * scheduleFactor('linear', step, { warmupSteps: 30, steps: 100 })).toBeCloseTo(rate, 18);
  });

  // TRL 1.16 with transformers 5.23, 3 warm-up steps, 10 steps, peak 1e-3 (10 digits).
  const cosine = [
    0, 0.0003333333333, 0.0006666666667, 0.001, 0.000950484434, 0.0008117449009, 0.000611260467, 0.000388739533,
    0.0001882550991, 4.951556605e-5,
  ];

  it('cosine is that of transformers', () => {
    const rates = cosine.map((_, step) => 1e-3 * scheduleFactor('cosine', step, { warmupSteps: 3, steps: 10 }));
    rates.forEach((rate, step) => {
      expect(rate).toBeCloseTo(cosine[step]!, 12);
    });
  });

  it('begin at 0 with a warm-up, at the peak without, and never go below 0', () => {
    for (const name of scheduleNames) {
      expect(scheduleFactor(name, 0, { warmupSteps: 4, steps: 10 })).toBe(0);
      expect(scheduleFactor(name, 0, { warmupSteps: 0, steps: 10 })).toBe(1);
      expect(scheduleFactor(name, 10, { warmupSteps: 0, steps: 10 })).toBe(name === 'constant' ? 1 : 0);
      expect(scheduleFactor(name, 5, { warmupSteps: 20, steps: 10 })).toBe(0.25);
    }
  });
});
