import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { exactAnswer, length, lexicon } from './sources/index.js';
import { rowOf } from './testing/rows.js';
import { momentsOfRewards } from './transforms/normalised.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const shared = resolve(root, process.env.KELPIE_SHARED ?? '../shared');
const describeShared = describe.skipIf(!existsSync(shared));
if (!existsSync(shared)) console.warn(`skipped: no reference data at ${shared}; set KELPIE_SHARED to its folder`);

const read = (path: string): string => readFileSync(join(shared, path), 'utf8');
const lexiconFile = join(shared, 'data/vader/vader_lexicon.txt');

interface Trajectory {
  readonly rows: readonly { readonly text: { readonly completion: string }; readonly rewards: readonly number[] }[];
}

describeShared('with data of others', () => {
  it.each(['grpo', 'grpo-kl', 'grpo-dapo', 'rloo'])(
    "the lexicon and length rewards are those of TRL's run %s",
    async (name) => {
      const { rows } = JSON.parse(read(`trajectories/${name}.json`)) as Trajectory;
      const completions = rows.map(({ text }) => rowOf(text.completion));
      const valence = await (await lexicon.open({ file: lexiconFile })).judge(completions);
      const distance = await length.open({ unit: 'words', target: 15 }).judge(completions);
      for (const [at, { rewards }] of rows.entries()) {
        expect(valence.rewards[at], rows[at]!.text.completion).toBeCloseTo(rewards[0]!, 8);
        expect(distance.rewards[at], rows[at]!.text.completion).toBeCloseTo(rewards[1]!, 8);
      }
    },
  );

  it('GSM8K: tells right from wrong as its authors do', async () => {
    const questions = read('data/gsm8k/model_solutions.jsonl')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const solutions = questions.flatMap(({ ground_truth, question: _, ...models }) =>
      Object.values(models as Record<string, { is_correct: boolean; solution: string }>).map((model) => ({
        row: rowOf(model.solution, { meta: { answer: ground_truth } }),
        isCorrect: model.is_correct,
      })),
    );
    const { rewards } = await exactAnswer.open({ compare: 'number' }).judge(solutions.map(({ row }) => row));
    const agreed = solutions.filter(({ isCorrect }, at) => (rewards[at] === 1) === isCorrect).length;
    expect(agreed / solutions.length, `${agreed} of ${solutions.length}`).toBe(1);
  });

  // Measured: 0.861, 0.271, 0.577. Without negation, amazon: 0.517.
  it.each([
    ['tweets.tsv', 0.85],
    ['movieReviewSnippets.tsv', 0.26],
    ['amazonReviewSnippets.tsv', 0.57],
  ])('VADER: goes with what 20 raters said of %s', async (file, least) => {
    const lines = read(`data/vader/${file}`)
      .trim()
      .split('\n')
      .map((line) => line.split('\t'));
    const reward = await lexicon.open({ file: lexiconFile, score: 'compound', words: 'spaced', negation: true });
    const { rewards } = await reward.judge(lines.map(([, , text]) => rowOf(text!)));
    const ratings = Float64Array.from(lines, ([, rating]) => Number(rating));
    const [a, b] = [momentsOfRewards(rewards), momentsOfRewards(ratings)];
    const together = rewards.reduce((sum, x, at) => sum + (x - a.mean) * (ratings[at]! - b.mean), 0) / rewards.length;
    expect(together / Math.sqrt(a.variance * b.variance)).toBeGreaterThan(least);
  });
});
