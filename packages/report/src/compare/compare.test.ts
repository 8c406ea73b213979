import { describe, expect, it } from 'vitest';
import { compareFigures, comparePage, readRuns } from '../index.js';
import { folderOf, range, stepRow } from '../testing/folder.js';
import { cellsIn, figureIn, requireBalanced } from '../testing/markup.js';

interface Sort {
  readonly penalty: string;
  readonly coef: number;
  readonly seed: number;
}

/** A run whose divergence grows to 10/coef, whose reward is its root plus an error of the seed. */
function runOf({ penalty, coef, seed }: Sort, steps = 20): string {
  const metrics = range(steps).map((step) => {
    const kl = (step / steps) * (1 / coef);
    return stepRow(step, {
      'divergence/kl_exact': kl,
      reward: Math.sqrt(kl) + seed,
      'watched/truth/mean': kl - kl * kl + seed,
    });
  });
  const config = { objective: 'grpo', options: { penalty, penaltyCoef: coef, seed } };
  return folderOf(`${penalty}-${coef}-${seed}-${steps}`, { metrics, record: { config } });
}

const sorts = ['kl', 'chi2'].flatMap((penalty) =>
  [1, 0.1, 0.5].flatMap((coef) => [1, 2, 6].map((seed) => ({ penalty, coef, seed }))),
);
const folders = sorts.map((sort) => runOf(sort));

/** Of the last 10 of 20 steps. */
const meanOver = (of: (kl: number) => number, coef: number) =>
  range(10).reduce((sum, at) => sum + of((10 + at) / 20 / coef), 0) / 10;

describe('runs compared', () => {
  it('are sorted by what differs but seeds, along the weight of the penalty', async () => {
    const { grouped, metrics } = compareFigures(await readRuns(folders));
    expect(metrics).toEqual(['reward', 'watched/truth/mean']);
    expect(grouped.sweep).toBe('penaltyCoef');
    expect(
      grouped.groups.map(({ label, cells }) => [label, ...cells.map(({ sweep, runs }) => `${sweep}: ${runs.length}`)]),
    ).toEqual([
      ['penalty kl', '0.1: 3', '0.5: 3', '1: 3'],
      ['penalty chi2', '0.1: 3', '0.5: 3', '1: 3'],
    ]);
  });

  it('have frontiers with the mean and the standard error over seeds', async () => {
    const [frontier] = compareFigures(await readRuns(folders)).figures;
    const line = frontier!.panels[0]!.series.find(({ name }) => name === 'penalty kl')!;
    const error = Math.sqrt(((1 - 3) ** 2 + (2 - 3) ** 2 + (6 - 3) ** 2) / 2 / 3);
    expect(line.points).toHaveLength(3);
    [0.1, 0.5, 1].forEach((coef, at) => {
      const { x, y, low, high } = line.points[at]!;
      expect(x).toBeCloseTo(
        meanOver((kl) => kl, coef),
        10,
      );
      expect(y).toBeCloseTo(meanOver(Math.sqrt, coef) + 3, 10);
      expect(y - low!).toBeCloseTo(error, 10);
      expect(high! - y).toBeCloseTo(error, 10);
    });
    const single = frontier!.panels[0]!.series.find(({ name }) => name === 'penalty kl, single runs')!;
    expect(single.points).toHaveLength(9);
  });

  it('have bands from the lowest to the highest where that is asked for', async () => {
    const { figures } = compareFigures(await readRuns(folders), { band: 'min-max' });
    const { y, low, high } = figures[0]!.panels[0]!.series[1]!.points[0]!;
    expect([low! - y, high! - y]).toEqual([expect.closeTo(-2, 10), expect.closeTo(3, 10)]);
    expect(figures[0]!.notes).toContain('Bands and bars: lowest to highest run.');
  });

  it('have paths over the steps that all runs of a line have', async () => {
    const uneven = [runOf({ penalty: 'kl', coef: 1, seed: 1 }, 20), runOf({ penalty: 'kl', coef: 1, seed: 3 }, 10)];
    const [, path] = compareFigures(await readRuns(uneven)).figures;
    const { points, name } = path!.panels[0]!.series[0]!;
    expect(name).toBe('mean of 2 runs');
    expect(points).toHaveLength(2);
    // Steps 1 to 5 of both: KL step/20 and step/10.
    const root = (steps: number) => range(5).reduce((sum, step) => sum + Math.sqrt(step / steps), 0) / 5;
    expect(points[0]!.x).toBeCloseTo((3 / 20 + 3 / 10) / 2, 10);
    expect(points[0]!.y).toBeCloseTo((root(20) + 1 + root(10) + 3) / 2, 10);
  });

  it('have a page with legend, table and the highest on the way', async () => {
    const html = await comparePage(folders, {
      title: 'Frontiers <i>',
      groupBy: ['penalty'],
      sweep: 'penaltyCoef',
      scale: 'sqrt',
    });
    requireBalanced(html);
    expect(html).toContain('<h1>Frontiers &lt;i&gt;</h1>');
    expect(html).toContain('mean ± one standard error over runs');
    const frontier = figureIn(html, 'frontier');
    expect(frontier).toMatch(/<text x="20" y="10">penalty kl<\/text>.*<text x="20" y="10">penalty chi2<\/text>/s);
    expect(frontier).toContain('<path class="band s0"');
    const [head, first] = cellsIn(frontier);
    expect(head!.slice(0, 4)).toEqual(['setting', 'penaltyCoef', 'runs', 'KL(policy ‖ reference), nats a completion']);
    expect(first!.slice(0, 4)).toEqual(['penalty kl', '0.1', '3', '7.75']);
    expect(head).toContain('highest on the way');
  });

  it('shows no band of a single run', async () => {
    const [frontier] = compareFigures(await readRuns([folders[0]!, folders[9]!])).figures;
    for (const { points } of frontier!.panels[0]!.series) expect(points[0]).not.toHaveProperty('low');
  });

  it('takes evaluations where an evaluated metric is asked for, the last as the end', async () => {
    const metrics = [0, 5, 10].map((step) => ({ step, epoch: 1, eval_reward: step, 'divergence/kl_exact': step / 10 }));
    const folder = folderOf('evaluated', { metrics: [...metrics, stepRow(11)], record: { config: {} } });
    const { figures } = compareFigures(await readRuns([folder]), { metrics: ['eval_reward'] });
    expect(figures[0]!.panels[0]!.series[1]!.points[0]).toMatchObject({ x: 1, y: 10 });
    expect(figures[1]!.panels[0]!.series[0]!.points).toHaveLength(3);
  });

  it('says which run lacks what', async () => {
    const runs = await readRuns(folders.slice(0, 2));
    expect(() => compareFigures(runs, { metrics: ['rewards'] })).toThrow(
      /kl-1-1-20.metrics\.jsonl: no line has both `rewards` and `divergence\/kl_exact`; there are .*`reward`/,
    );
    expect(() => compareFigures(runs, { groupBy: ['colour'] })).toThrow(/no key `colour` in the config/);
    await expect(comparePage([])).rejects.toThrow(/no runs to compare/);
  });
});
