import { Engine } from '@kelpie/policy';
import { expect, test } from 'vitest';
import {
  allScores,
  distance,
  openTiny,
  randomIds,
  randomOf,
  row,
  SEED,
  scratchFile,
  tinyModels,
  writeConfig,
} from './models.js';

const random = randomOf('adapters');
const trees = [row(randomIds(random, 11)), row(randomIds(random, 5), 2)];

const loras = [
  { rank: 3, alpha: 5, targetModules: 'all-linear' },
  { rank: 4, alpha: 2, rslora: true, targetModules: 'all-linear' },
  { rank: 2, alpha: 4, dora: true, targetModules: 'all-linear' },
] as const;

const cases = tinyModels
  .filter(({ name }) => /default|tied|biases|gpt2$/.test(name))
  .flatMap((model) => loras.map((lora) => ({ name: `${model.name}, ${lora.rank} ranks`, model, lora })));

test.each(cases)(`$name: base plus adapter = the merged model = the adapter's folder, seed ${SEED}`, async (given) => {
  const trained = await openTiny(given.model, { dtype: 'float32', lora: given.lora });
  const expected = await trained.score({ trees, scores: allScores });
  const merged = scratchFile('merged');
  const adapter = scratchFile('adapter');
  await trained.save(merged, { merge: true });
  await trained.save(adapter);
  await trained.dispose();

  const alone = await Engine.open({ model: merged, threads: 1 });
  const scores = await alone.score({ trees, scores: ['logprobs', 'entropy'] });
  await alone.dispose();
  // Float32: the product B A is rounded into the weights once.
  expect(distance(scores.logprobs!, expected.logprobs!)).toBeLessThan(1e-4);
  expect(distance(scores.entropy!, expected.entropy!)).toBeLessThan(1e-4);

  const base = scratchFile('base');
  const start = await Engine.open({ init: { config: writeConfig(given.model), seed: SEED }, threads: 1 });
  await start.save(base);
  await start.dispose();
  const again = await Engine.open({ model: base, adapter, threads: 1 });
  const restored = await again.score({ trees, scores: ['logprobs'] });
  await again.dispose();
  expect(distance(restored.logprobs!, expected.logprobs!)).toBeLessThan(1e-6);
});
