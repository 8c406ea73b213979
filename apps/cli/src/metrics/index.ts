import { nearestNames } from '@kelpie/policy';
import { divergence } from './divergence.js';
import type { Metric } from './metric.js';
import { policyGradient } from './policy-gradient.js';
import { preferences } from './preferences.js';
import { rollouts } from './rollouts.js';
import { run } from './run.js';
import { timing } from './timing.js';

export type { Metric } from './metric.js';

/** All that runs log, by topic. */
export const topics: Readonly<Record<string, readonly Metric[]>> = {
  'Every run': run,
  'Preferences and reward models': preferences,
  'Distance from the reference': divergence,
  'Rewards and completions': rollouts,
  'Policy gradients and critics': policyGradient,
  'Time and memory': timing,
};

const all = Object.values(topics).flat();

/** The metric of a name as it stands in a log: held-out ones by what they are without `eval_`, parts by their pattern. */
export function metricNamed(name: string): Metric | undefined {
  const exact = all.find((metric) => metric.name === name);
  if (exact !== undefined) return exact;
  if (name.startsWith('eval_')) return metricNamed(name.slice('eval_'.length));
  return all.find((metric) => metric.name.includes('NAME') && patternOf(metric.name).test(name));
}

const patternOf = (name: string) => new RegExp(`^${name.replaceAll('/', '\\/').replace('NAME', '.+')}$`);

/** A short name may be the last part of a long one: `kl_exact`. */
export function nearestMetrics(name: string): string[] {
  const names = all.map((metric) => metric.name);
  const within = names.filter((known) => known.split('/').includes(name));
  return within.length > 0 ? within : nearestNames(name, names);
}
