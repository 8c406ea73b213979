/**
 * Learning-rate factors by step, counted from 0; the definitions of transformers' `get_*_schedule_with_warmup`. With a
 * warm-up, step 0 has the factor 0: it measures, and moves nothing.
 *   warm-up    step / warmupSteps
 *   constant   1
 *   linear     (steps - step) / (steps - warmupSteps)
 *   cosine     (1 + cos(π (step - warmupSteps) / (steps - warmupSteps))) / 2
 */
export const scheduleNames = ['constant', 'linear', 'cosine'] as const;
export type ScheduleName = (typeof scheduleNames)[number];

export interface ScheduleOptions {
  readonly warmupSteps: number;
  /** Of the whole run, the warm-up included. */
  readonly steps: number;
}

export function scheduleFactor(name: ScheduleName, step: number, { warmupSteps, steps }: ScheduleOptions): number {
  if (step < warmupSteps) return step / Math.max(1, warmupSteps);
  const rest = Math.max(1, steps - warmupSteps);
  if (name === 'linear') return Math.max(0, (steps - step) / rest);
  if (name === 'cosine') return Math.max(0, 0.5 * (1 + Math.cos((Math.PI * (step - warmupSteps)) / rest)));
  return 1;
}
