import { machineText } from '../../bench/machine.js';
import { table } from '../../bench/table.js';
import { arms } from './arms.js';
import { groupName, WINDOW } from './figures.js';
import type { LabelRecord } from './labels.js';
import type { RunRecord } from './run.js';
import type { Settings } from './settings.js';
import { armsOf, fallOf, type Group, groupsOf, type Spread, spreadOf } from './summary.js';
import type { Results } from './sweep.js';

const told = ({ mean, error }: Spread, digits = 2): string => `${mean.toFixed(digits)} ± ${error.toFixed(digits)}`;

/** What was run, and all that was measured, as Markdown. */
export function reportOf({ runs, labels, missing }: Results, settings: Settings): string {
  const groups = groupsOf(runs);
  const parts = [
    facts(runs, settings),
    ...(missing.length > 0 ? [`${missing.length} runs of the sweep were not made.`] : []),
    ...(labels.length > 0 ? [`### Reward models\n\n${labelTable(labels, runs)}`] : []),
    `### Without a penalty\n\n${unregularised(groups)}`,
    ...armsOf(groups).map((arm) => `### After training: ${arms[arm].title}\n\n${ends(groups, arm)}`),
  ];
  return parts.join('\n\n');
}

function facts(runs: readonly RunRecord[], { run, threads }: Settings): string {
  const seconds = spreadOf(runs.map((one) => one.seconds));
  const { objective, steps, epochs, prompts, completions, maxNewTokens, learningRate, evaluate, chi2Clip } = run;
  return [
    `${runs.length} runs of ${objective.toUpperCase()}, each ${steps} steps of ${prompts} x ${completions} completions of at most ${maxNewTokens} tokens, ${epochs} passes, learning rate ${learningRate}; ${evaluate} held-out prompts. χ² goes on as its tangent beyond a ratio of e^${chi2Clip}. Planted proxies: correlation ${run.correlation}, heavy tails of Student's t with ${run.degreesOfFreedom} degrees of freedom. Rewards are in deviations of the base model's completions, divergences in nats a completion; ± is one standard error over seeds.`,
    `${machineText(threads)} a run; ${seconds.mean.toFixed(0)} s a run on a shared machine.`,
  ].join('\n\n');
}

function labelTable(labels: readonly LabelRecord[], runs: readonly RunRecord[]): string {
  const rows = labels.map(({ arm, seed, labels: pairs, accuracy, calibrationError }) => {
    const run = runs.find((one) => one.arm === arm && one.seed === seed);
    const figures = [`${seed}`, `${(100 * accuracy).toFixed(1)} %`, calibrationError.toFixed(3)];
    return [`${pairs}`, ...figures, run === undefined ? '' : run.correlation.toFixed(2)];
  });
  return table(['pairs', 'seed', 'held-out accuracy', 'calibration error', 'correlation with the true score'], rows);
}

function unregularised(groups: readonly Group[]): string {
  const rows = groups
    .filter(({ penalty }) => penalty === 'none')
    .map((group) => {
      const { seeds, below, best, last } = fallOf(group, WINDOW);
      const warned = group.runs.filter((run) => run.warned.length > 0).length;
      const { correlation } = { correlation: spreadOf(group.runs.map((run) => run.correlation)) };
      return [
        arms[group.arm].title,
        `${seeds}`,
        correlation.mean.toFixed(2),
        told(group.change.proxy),
        `${told(best.gold)} at step ${best.step}`,
        told(last.gold),
        told(group.change.gold),
        `${below} of ${seeds}`,
        `${warned} of ${seeds}`,
      ];
    });
  const head = ['proxy', 'seeds', 'correlation', 'change of proxy', 'true score at its highest', 'at the end'];
  return table([...head, 'change of true score, held out', 'seeds that ended lower', 'seeds warned of'], rows);
}

function ends(groups: readonly Group[], arm: Group['arm']): string {
  const rows = groups
    .filter((group) => group.arm === arm)
    .map((group) => {
      const { after, change, runs } = group;
      const figures = [told(after.kl, 1), told(after.logChi2, 1), told(after.proxy), told(after.gold)];
      return [groupName(group), `${runs.length}`, ...figures, told(change.gold), told(after.length, 1)];
    });
  return table(['penalty', 'seeds', 'KL', 'log(1 + χ²)', 'proxy', 'true score', 'its change', 'tokens'], rows);
}
