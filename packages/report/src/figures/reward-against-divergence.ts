import type { Color, Figure, Point, Series } from '../chart/figure.js';
import type { Line, Run } from '../read/run.js';
import type { RunFigure } from '../run-figure.js';
import { PLACES } from '../series.js';
import { bins, mean } from '../stats.js';
import { numberText } from '../text.js';

const distances = [
  { key: 'divergence/kl_exact', label: 'KL(policy ‖ reference), nats a completion' },
  { key: 'objective/kl', label: 'KL(policy ‖ reference) by k1, nats a completion' },
  { key: 'divergence/kl_k1', label: 'KL(policy ‖ reference) by k1, nats a completion' },
] as const;
const gains = [
  { key: 'reward', label: 'reward' },
  { key: 'rewards/margins', label: 'margin of the implicit rewards' },
] as const;

type Place = Point & { readonly step: number };

/** What was gained for how far the policy went: each step a dot, from early to late; held-out prompts joined. */
export const rewardAgainstDivergence: RunFigure = {
  name: 'reward-against-divergence',
  order: 10,
  draw({ metrics }: Run): Figure {
    const pairs = gains.flatMap((gain) => distances.map((distance) => ({ gain, distance })));
    const has = ({ gain, distance }: (typeof pairs)[number]) =>
      placesOf(metrics, gain.key, distance.key, 'step').length +
        placesOf(metrics, gain.key, distance.key, 'evaluation').length >
      0;
    const { gain, distance } = pairs.find(has) ?? pairs[0]!;
    const trained = placesOf(metrics, gain.key, distance.key, 'step');
    const heldOut = placesOf(metrics, gain.key, distance.key, 'evaluation');
    const shown = trained.length <= PLACES ? trained : bins(trained, PLACES).map(merged);
    const series: Series[] = [
      ...bins(shown, 5).map((bin, at): Series => {
        const [first, last] = [bin[0]!.step, bin.at(-1)!.step];
        const color = `q${shown.length < 5 ? 2 : at}` as Color;
        return {
          name: first === last ? `step ${first}` : `steps ${first} to ${last}`,
          draw: 'dots',
          color,
          points: bin,
        };
      }),
      { name: 'held out', draw: 'line-and-dots', dashed: true, color: 's1', points: heldOut },
    ];
    const row = (kind: string) => (place: Place) => [
      String(place.step),
      kind,
      numberText(place.x),
      numberText(place.y),
    ];
    return {
      name: 'reward-against-divergence',
      title: gain.key === 'reward' ? 'Reward against divergence' : 'Margin against divergence',
      wide: true,
      x: { label: distance.label },
      panels: [{ label: gain.label, series }],
      ...(shown.length < trained.length && { notes: ['Each dot is the mean of several steps.'] }),
      table: {
        columns: ['step', 'rows', distance.label, gain.label],
        rows: [...shown.map(row('trained on')), ...heldOut.map(row('held out'))],
      },
    };
  },
};

function placesOf(lines: readonly Line[], gain: string, distance: string, kind: Line['kind']): Place[] {
  return lines.flatMap((line) => {
    const y = line.values[kind === 'evaluation' ? `eval_${gain}` : gain];
    const x = line.values[distance];
    if (line.kind !== kind || y === undefined || x === undefined || !Number.isFinite(x + y)) return [];
    const { step } = line;
    return [{ x, y, step, label: `step ${step}: ${numberText(y)} at ${numberText(x)} nats` }];
  });
}

function merged(places: readonly Place[]): Place {
  const [x, y] = [mean(places.map((place) => place.x)), mean(places.map((place) => place.y))];
  const { step } = places.at(-1)!;
  return { x, y, step, label: `steps ${places[0]!.step} to ${step}: ${numberText(y)} at ${numberText(x)} nats` };
}
