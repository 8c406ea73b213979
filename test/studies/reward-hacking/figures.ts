import type { Color, Figure, Point as Place, Series } from '@kelpie/report';
import { type ArmName, arms } from './arms.js';
import type { Penalty } from './settings.js';
import { armsOf, courseOf, type Group, type Spread } from './summary.js';

/** Steps that one place of a course is the mean of. */
export const WINDOW = 4;

const penaltyNames: Readonly<Record<Penalty, string>> = {
  none: 'no penalty',
  kl: 'KL',
  'occupancy-chi2': 'χ² occupancy',
  'occupancy-sqrt-chi2': 'root of χ² occupancy',
};
const penaltyColors: Readonly<Record<Penalty, Color>> = {
  none: 's1',
  kl: 's0',
  'occupancy-chi2': 's2',
  'occupancy-sqrt-chi2': 's3',
};

export const groupName = ({ penalty, coefficient }: Pick<Group, 'penalty' | 'coefficient'>): string =>
  penalty === 'none' ? penaltyNames.none : `${penaltyNames[penalty]} ${coefficient}`;

const units = 'deviations of the base model';
const bandNote = 'Bands and bars: one standard error over seeds.';

/** All figures that there are runs for. */
export function figuresOf(groups: readonly Group[]): Figure[] {
  return [
    ...armsOf(groups).flatMap((arm) => overSteps(arm, groups)),
    ...tails(groups),
    ...armsOf(groups).flatMap((arm) => [...frontiers(arm, groups), ...courses(arm, groups)]),
  ];
}

const seedsOf = (groups: readonly Group[]): string => {
  const counts = [...new Set(groups.map(({ runs }) => runs.length))].sort((a, b) => a - b);
  return `${counts.join(' or ')} seed${counts.at(-1) === 1 ? '' : 's'}`;
};

const placed = (x: number, { mean, error }: Spread): Place => ({ x, y: mean, low: mean - error, high: mean + error });

/** Proxy and true score over the steps of training without a penalty. */
function overSteps(arm: ArmName, groups: readonly Group[]): Figure[] {
  const group = groups.find((one) => one.arm === arm && one.penalty === 'none');
  if (group === undefined) return [];
  const course = courseOf(group, WINDOW);
  const series = (name: string, color: Color, of: 'proxy' | 'gold' | 'kl'): Series => {
    return { name, color, draw: 'line', points: course.map((place) => placed(place.step, place[of])) };
  };
  return [
    {
      name: `steps-${arm}`,
      title: `Unregularised: ${arms[arm].title}`,
      x: { label: 'step', counts: true },
      panels: [
        {
          label: `rewards, ${units}`,
          series: [series('proxy, optimised', 's1', 'proxy'), series('true score, watched', 's0', 'gold')],
        },
        { label: 'KL(policy ‖ base), nats a completion', series: [series('KL', 's4', 'kl')], legend: false },
      ],
      notes: [`${seedsOf([group])}; means of ${WINDOW} steps. ${bandNote}`],
    },
  ];
}

/** True score of the planted proxies side by side. */
function tails(groups: readonly Group[]): Figure[] {
  const own = groups.filter(({ arm, penalty }) => penalty === 'none' && arms[arm].draws !== 'labels');
  if (own.length === 0) return [];
  const colors: readonly Color[] = ['s0', 's1', 's2', 's3'];
  const series = (of: 'proxy' | 'gold') =>
    own.map((group, at): Series => {
      const points = courseOf(group, WINDOW).map((place) => placed(place.step, place[of]));
      return { name: arms[group.arm].title, color: colors[at % colors.length]!, draw: 'line', points };
    });
  return [
    {
      name: 'tails',
      title: 'Gaussian and heavy-tailed error, unregularised',
      wide: true,
      x: { label: 'step', counts: true },
      panels: [
        { label: `true score, ${units}`, series: series('gold') },
        { label: `proxy, ${units}`, series: series('proxy'), legend: false },
      ],
      notes: [`${seedsOf(own)}; means of ${WINDOW} steps. ${bandNote}`],
    },
  ];
}

const distances = [
  { of: 'kl', name: 'kl', label: 'KL(policy ‖ base), nats a completion' },
  { of: 'logChi2', name: 'chi2', label: 'log(1 + χ²(policy ‖ base)), estimated' },
] as const;

/** Where runs end on held-out prompts: a place a coefficient, joined. */
function frontiers(arm: ArmName, groups: readonly Group[]): Figure[] {
  const own = groups.filter((group) => group.arm === arm);
  if (own.length < 2) return [];
  return distances.map(({ of, name, label }): Figure => {
    const place = (group: Group): Place => {
      const [x, y] = [group.after[of], group.after.gold];
      const told = `${groupName(group)}: true score ${y.mean.toFixed(2)} at ${x.mean.toFixed(1)}`;
      return { ...placed(x.mean, y), lowX: x.mean - x.error, highX: x.mean + x.error, label: told };
    };
    const [first] = own;
    const start: Series = {
      name: 'base model',
      color: 's7',
      draw: 'line-and-dots',
      points: [placed(0, first!.before.gold)],
    };
    const series = (Object.keys(penaltyNames) as Penalty[]).flatMap((penalty): Series[] => {
      const points = own.filter((group) => group.penalty === penalty).map(place);
      if (points.length === 0) return [];
      return [{ name: penaltyNames[penalty], color: penaltyColors[penalty], draw: 'line-and-dots', points }];
    });
    return {
      name: `frontier-${name}-${arm}`,
      title: `True score against divergence: ${arms[arm].title}`,
      x: { label },
      panels: [{ label: `true score, ${units}`, series: [start, ...series] }],
      notes: [`${seedsOf(own)}; after training, on held-out prompts. ${bandNote}`],
    };
  });
}

/** The same along training: a line a coefficient. */
function courses(arm: ArmName, groups: readonly Group[]): Figure[] {
  const own = groups.filter((group) => group.arm === arm);
  if (own.length < 2) return [];
  const series = own.map((group, at): Series => {
    const same = own.filter(({ penalty }) => penalty === group.penalty);
    const points = courseOf(group, WINDOW).map((place) => placed(place.kl.mean, place.gold));
    const color = `s${at % 8}` as Color;
    return { name: groupName(group), color, draw: 'line', points, dashed: same.indexOf(group) % 2 === 1 };
  });
  return [
    {
      name: `course-${arm}`,
      title: `True score along training: ${arms[arm].title}`,
      wide: true,
      x: { label: distances[0].label },
      panels: [{ label: `true score, ${units}`, series }],
      notes: [`${seedsOf(own)}; means of ${WINDOW} steps. ${bandNote}`],
      table: {
        columns: ['run', 'step', 'KL', 'true score', 'proxy'],
        rows: own.flatMap((group) =>
          courseOf(group, WINDOW).map(({ step, kl, gold, proxy }) => [
            groupName(group),
            String(step),
            ...[kl, gold, proxy].map(({ mean, error }) => `${mean.toFixed(2)} ± ${error.toFixed(2)}`),
          ]),
        ),
      },
    },
  ];
}
