import { appendFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Script } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { figureSvg, readRun, runFigures, runPage, writePage } from './index.js';
import { folderOf, range, rolloutRow, stepRow } from './testing/folder.js';
import { cellsIn, figureIn, placesIn, requireBalanced, yTicks } from './testing/markup.js';

const evaluationRow = (step: number, values: Record<string, unknown>) => ({ step, epoch: step / 10, ...values });

const record = {
  versions: { kelpie: '0.1.0' },
  model: { modelType: 'llama', parameters: 1000, trainedParameters: 1000 },
  config: {
    objective: 'grpo',
    options: { seed: 3, penalty: 'kl', penaltyIn: 'reward', penaltyCoef: 0.05, klEstimator: 'k1', controller: 'fixed' },
  },
};

describe('a page of one run', () => {
  it('draws every metric there is, known or not, and tells its numbers', async () => {
    const values = {
      'rewards/length/mean': 0.5,
      'rewards/length/std': 0.1,
      'watched/truth/mean': -0.5,
      'objective/kl': 0.25,
      'clip_ratio/low_mean': 0.125,
      'completions/mean_length': 12,
      'completions/min_length': 3,
      'completions/max_length': 21,
      'completions/clipped_ratio': 0.25,
      explained_variance: 0.75,
      'nobody/knows/this': 42.5,
    };
    const evaluations = [0, 3].map((step) =>
      evaluationRow(step, { eval_reward: step, 'eval_nobody/asked': 7.25, 'divergence/kl_exact': step / 2 }),
    );
    const folder = folderOf('every', {
      metrics: [evaluations[0]!, ...range(3).map((step) => stepRow(step, values)), evaluations[1]!],
      record,
    });
    const html = await runPage(folder);
    const { main, further } = runFigures(await readRun(folder));
    const drawn = [...main, ...further].flatMap(({ panels }) =>
      panels.flatMap(({ series }) => series.flatMap(({ keys = [] }) => keys)),
    );
    const written = [...Object.keys({ ...stepRow(1), ...values }), 'eval_reward', 'eval_nobody/asked'];
    expect(new Set(drawn)).toEqual(new Set(written.filter((key) => key !== 'step' && key !== 'epoch')));
    expect(cellsIn(figureIn(html, 'metric-nobody-knows-this'))).toEqual([
      ['step', 'nobody/knows/this'],
      ['1', '42.5'],
      ['2', '42.5'],
      ['3', '42.5'],
    ]);
    expect(cellsIn(figureIn(html, 'lengths'))[1]).toEqual(['1', '12 [3, 21]', '0.75']);
    expect(cellsIn(figureIn(html, 'reward-against-divergence'))).toEqual([
      ['step', 'rows', 'KL(policy ‖ reference), nats a completion', 'reward'],
      ['1', 'trained on', '1', '0.1'],
      ['2', 'trained on', '2', '0.2'],
      ['3', 'trained on', '3', '0.3'],
      ['0', 'held out', '0', '0'],
      ['3', 'held out', '1.5', '3'],
    ]);
  });

  it('draws numbers where the axis says they are', async () => {
    const entropies = [1, 4, 2.5];
    const folder = folderOf('places', {
      metrics: entropies.map((entropy, at) => stepRow(at + 1, { entropy })),
      record,
    });
    const figure = figureIn(await runPage(folder), 'entropy');
    const ticks = yTicks(figure);
    const [low, high] = [ticks[0]!, ticks.at(-1)!];
    const slope = (high.at - low.at) / (Number(high.text) - Number(low.text));
    const places = placesIn(figure, 'line s0');
    expect(places.map(([, y]) => Number(low.text) + (y - low.at) / slope)).toEqual(
      entropies.map((value) => expect.closeTo(value, 1)),
    );
    expect(places[2]![0] - places[1]![0]).toBeCloseTo(places[1]![0] - places[0]![0], 1);
  });

  it('loads nothing, and takes texts as texts', async () => {
    const evil =
      '</script><script src="https://evil.example/x.js">alert(1)</script><img src=x onerror=alert(2)>&"\'\u0000\u2028end';
    const folder = folderOf('evil <b>&', {
      metrics: range(2).map((step) => stepRow(step, { [`watched/<i>${evil}/mean`]: 1, '<u>': 2 })),
      rollouts: range(2).map((step) => rolloutRow(step, { prompt: evil, completion: evil, rewards: { [evil]: 1 } })),
      record: {
        ...record,
        config: { ...record.config, rewards: [{ name: evil, madeOf: { file: evil } }], watched: [evil] },
        verdict: { samples: [{ prompt: evil, before: evil, after: evil }] },
      },
    });
    const html = await runPage(folder, { facts: { [evil]: evil } });
    expect(html.match(/<script/g)).toHaveLength(1);
    expect(html).not.toMatch(/<(img|link|iframe|object|embed|audio|video|image|use|i|u|b)[\s>]/);
    expect(html).not.toMatch(/<[^>]*\s(src|href|srcset|action|on\w+)=/);
    expect(html.replace(/xmlns="[^"]*"/g, '')).not.toMatch(/url\(|@import|<[^>]*https?:/);
    expect(html).toContain("default-src 'none'");
    expect(html).not.toContain('\u0000');
    expect(html).toContain('\u2028end');
    requireBalanced(html);
  });

  it('names every figure for those who do not see it', async () => {
    const folder = folderOf('named', { metrics: range(4).map((step) => stepRow(step, { entropy: step })), record });
    const html = await runPage(folder);
    const ids = [...html.matchAll(/ id="([^"]*)"/g)].map(([, id]) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [, names] of html.matchAll(/aria-labelledby="([^"]*)"/g))
      expect(ids).toEqual(expect.arrayContaining(names!.split(' ')));
    expect(figureIn(html, 'entropy')).toContain('nats a token: 1 at step 1, 4 at 4.');
  });

  it('marks the steps at which the reward rose and a watched one fell', async () => {
    const metrics = range(40).map((step) =>
      stepRow(step, {
        reward: step + (step % 2),
        'watched/truth/mean': step < 16 ? step % 2 : -step,
        'watched/calm/mean': step % 3,
      }),
    );
    const html = await runPage(folderOf('gamed', { metrics, record }));
    expect(html).toContain('The reward rose while the watched truth fell</strong>, at steps 20 to 40');
    expect(html).not.toContain('watched calm fell');
    const figure = figureIn(html, 'optimised-and-watched');
    expect(figure).toContain('⚠ the reward rises while truth falls');
    expect(figure.match(/class="mark"/g)).toHaveLength(2 * 3);
    const calm = await runPage(
      folderOf('calm', { metrics: metrics.map((row) => ({ ...row, 'watched/truth/mean': 0 })), record }),
    );
    expect(calm).not.toContain('⚠');
  });

  it('shows completions: before and after, the best and the worst, each once', async () => {
    const rollouts = range(50).flatMap((step) => [
      rolloutRow(step),
      rolloutRow(step, { completion: 'the same', reward: 99, prompt: 'p' }),
    ]);
    const verdict = {
      steps: 50,
      reward: { before: 1, after: 3.5 },
      samples: [{ prompt: 'ask', before: 'tell', after: 'tell more' }],
    };
    const html = await runPage(
      folderOf('completions', { metrics: [stepRow(1)], rollouts, record: { ...record, verdict } }),
    );
    const between = (from: string, to: string) =>
      html.slice(html.indexOf(from), html.indexOf(to, html.indexOf(from) + 1));
    expect(between('Samples before and after', '<h2>Highest')).toContain('tell more');
    const highest = between('Highest rewards', '<h2>Lowest');
    expect(highest.match(/the same/g)).toHaveLength(1);
    expect(highest).toContain('completion of 50</p><div class="rewards">step 50 · reward 50 · length 50</div>');
    expect(between('Lowest rewards', '<h2>Options')).toContain('completion of 1</p>');
    expect(cellsIn(html)).toEqual([
      ['', 'before', 'after', 'change'],
      ['held-out reward', '1', '3.5', '+2.5'],
    ]);
    expect(html).toContain('<dt>completions</dt><dd>100</dd>');
  });

  it('sums thousands of steps up without losing an extreme', async () => {
    const metrics = range(5000).map((step) => stepRow(step, { entropy: step === 2500 ? 1000 : 1 }));
    const html = await runPage(folderOf('long', { metrics, record }));
    expect(html.length).toBeLessThan(2_000_000);
    const figure = figureIn(html, 'entropy');
    expect(placesIn(figure, 'line s0')).toHaveLength(400);
    expect(figure).toContain('Each place is the mean of several steps');
    expect(yTicks(figure).at(-1)!.text).toBe('1,000');
  });
});

describe('a page of pairs', () => {
  it('has accuracies, margins, both sides and the evaluations', async () => {
    const side = {
      'rewards/chosen': 0.5,
      'rewards/rejected': -0.5,
      'rewards/accuracies': 0.75,
      'rewards/margins': 1,
      'logps/chosen': -10,
      'logps/rejected': -12,
    };
    const row = (step: number) => ({ step, epoch: 1, loss: 0.5, grad_norm: 1, learning_rate: 1e-5, ...side });
    const evaluation = evaluationRow(2, {
      eval_loss: 0.25,
      'eval_rewards/accuracies': 0.5,
      'eval_rewards/margins': 2,
      'divergence/kl_exact': 3,
    });
    const html = await runPage(
      folderOf('pairs', { metrics: [row(1), row(2), evaluation], record: { config: { objective: 'dpo' } } }),
    );
    expect(cellsIn(figureIn(html, 'accuracies')).at(-1)).toEqual(['2', '0.75', '0.5', '1', '2']);
    expect(cellsIn(figureIn(html, 'implicit-rewards')).at(-1)).toEqual(['2', '0.5', '−0.5', '−10', '−12']);
    expect(cellsIn(figureIn(html, 'loss')).at(-1)).toEqual(['2', '0.5', '0.25', '1', '1e-5']);
    expect(cellsIn(figureIn(html, 'reward-against-divergence')).at(-1)).toEqual(['2', 'held out', '3', '2']);
  });
});

describe('what is not whole', () => {
  it('shows a run that goes on, with a line cut off, without rollouts', async () => {
    const folder = folderOf('cut', { metrics: range(2).map((step) => stepRow(step)) });
    appendFileSync(join(folder, 'metrics.jsonl'), '{"step":3,"los');
    const html = await runPage(folder);
    expect(html).toContain('The run has not come to its end');
    expect(html).toContain(`${join(folder, 'metrics.jsonl')}:3 is cut off`.replaceAll("'", '&#39;'));
    expect(cellsIn(figureIn(html, 'optimised-and-watched')).at(-1)![0]).toBe('2');
    mkdirSync(join(folder, 'checkpoints', 'step-000002'), { recursive: true });
    writeFileSync(join(folder, 'checkpoints', 'step-000002', 'loop.json'), JSON.stringify(record));
    expect(await runPage(folder)).toContain('<h1>grpo · cut</h1>');
  });

  it('leaves gaps where a number is none, and says how many', async () => {
    const metrics = range(6).map((step) =>
      stepRow(step, { loss: step % 3 === 0 ? null : step, entropy: step === 2 ? 1 : null }),
    );
    const html = await runPage(folderOf('gaps', { metrics, record }));
    expect(html).not.toMatch(/NaN|Infinity|undefined/);
    expect(figureIn(html, 'loss')).toContain('loss: no finite number in 2 of 6 places');
    expect(figureIn(html, 'loss')).toMatch(/<path class="line s0" d="M[^M]*M[^M]*"/);
    expect(figureIn(html, 'entropy')).toContain('<circle');
  });

  it('draws a single step', async () => {
    const html = await runPage(
      folderOf('single', { metrics: [stepRow(1, { reward: 0, 'divergence/kl_exact': 0 })], record }),
    );
    expect(html).not.toMatch(/NaN|Infinity|undefined/);
    expect(figureIn(html, 'optimised-and-watched')).toContain('<circle');
    requireBalanced(html);
  });

  it('shows a run that has evaluated and not yet stepped', async () => {
    const html = await runPage(folderOf('begun', { metrics: [evaluationRow(0, { eval_reward: 1 })] }));
    expect(html).toContain('No step has been written yet');
  });

  it('names file and line of what it cannot read', async () => {
    const spoilt = (name: string, file: string, line: string) => {
      const folder = folderOf(name, { metrics: [stepRow(1)], rollouts: [rolloutRow(1)] });
      appendFileSync(join(folder, file), `${line}\n`);
      return runPage(folder);
    };
    await expect(spoilt('bad1', 'metrics.jsonl', '{"step":2,')).rejects.toThrow(
      /metrics\.jsonl:2: expected an object in JSON, got `\{"step":2,`/,
    );
    await expect(spoilt('bad2', 'metrics.jsonl', '{"step":2,"loss":"low"}')).rejects.toThrow(
      /metrics\.jsonl:2: `loss`: expected a number, got "low"/,
    );
    await expect(spoilt('bad3', 'metrics.jsonl', '{"loss":1}')).rejects.toThrow(
      /metrics\.jsonl:2: `step`: expected a number, got nothing/,
    );
    await expect(spoilt('bad4', 'rollouts.jsonl', '{"step":2,"prompt":"p"}')).rejects.toThrow(
      /rollouts\.jsonl:2: `completion`: expected a text/,
    );
    await expect(runPage(folderOf('none', {}))).rejects.toThrow(/no run in .*expected `metrics.jsonl`/);
  });
});

describe('files', () => {
  it('are written whole or not at all', async () => {
    const folder = folderOf('written', {});
    await writePage(join(folder, 'deep', 'page.html'), 'whole');
    expect(readFileSync(join(folder, 'deep', 'page.html'), 'utf8')).toBe('whole');
    mkdirSync(join(folder, 'taken', 'page.html'), { recursive: true });
    await expect(writePage(join(folder, 'taken', 'page.html'), 'x')).rejects.toThrow(/cannot write .*page\.html/);
    expect(readdirSync(join(folder, 'taken'))).toEqual(['page.html']);
  });

  it('of figures stand alone', async () => {
    const { main } = runFigures(
      await readRun(
        folderOf('alone', {
          metrics: range(30).map((step) => stepRow(step, { 'divergence/chi2': 10 ** step / 1e4 })),
          record,
        }),
      ),
    );
    for (const figure of main) {
      const svg = figureSvg(figure, { theme: 'light' });
      requireBalanced(svg);
      expect(svg).toMatch(/^<svg width="\d+" height="\d+" xmlns="http:\/\/www.w3.org\/2000\/svg"/);
      expect(svg).toContain('--s0:');
      for (const note of figure.notes ?? []) expect(svg).toContain(note.split(' ').slice(0, 4).join(' '));
      expect(svg).not.toContain('prefers-color-scheme');
      expect(figureSvg(figure)).toContain('prefers-color-scheme');
    }
  });
});

describe('the script of a page', () => {
  it('is a program', async () => {
    const html = await runPage(folderOf('script', { metrics: [stepRow(1)], record }));
    const script = /<script>([\s\S]*)<\/script>/.exec(html)![1]!;
    expect(() => new Script(script)).not.toThrow();
  });
});
