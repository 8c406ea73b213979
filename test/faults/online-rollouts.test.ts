import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { getObjective } from '@kelpie/objectives';
import { Engine } from '@kelpie/policy';
import { rowReward } from '@kelpie/rewards';
import {
  type CompletionsServerOptions,
  completionsServer,
  type Handover,
  jsonl,
  memory,
  type OnlineOptionsInput,
  type OnlineRun,
  type RolloutRecord,
  rollouts,
  trainOnline,
} from '@kelpie/runner';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Scratch, tinyModel } from './fixture.js';
import { type Answer, type Fault, RolloutServer } from './rollout-server.js';

const scratch = new Scratch();
const base = scratch.at('base');
const STEPS = 3;
const prompts = Array.from({ length: 6 }, (_, i) => ({ id: `prompt-${i}`, ids: [1 + i, 7, 20 + 3 * i] }));
const stop = Array.from({ length: 60 }, (_, i) => 100 + i);
const reward = rowReward(({ ids }) => Array.from(ids).filter((id) => id % 2 === 0).length, { name: 'even' });
const options: OnlineOptionsInput = {
  ...{ steps: STEPS, promptsPerStep: 3, completions: 4, maxNewTokens: 6 },
  ...{ learningRate: 1e-2, schedule: 'constant' as const, saveEvery: 0 },
};
const patience = { retries: 6, backoffMs: 20, timeoutMs: 20_000 };

let server: RolloutServer;
beforeAll(async () => {
  await tinyModel(base);
  server = await RolloutServer.open(base);
});
afterAll(async () => {
  await server.close();
  scratch.remove();
});

type Given = Partial<Omit<OnlineRun, 'engine'>> & { readonly engine?: Partial<CompletionsServerOptions> };

async function train(name: string, { engine: given = {}, ...run }: Given = {}) {
  const outFolder = scratch.at(name);
  const log = memory();
  server.asked.length = 0;
  await using policy = await Engine.open({ model: base, threads: 1, keepReference: true });
  const folder = join(outFolder, 'engine');
  await using engine = completionsServer({
    ...{ url: server.url, model: 'tiny', handover: 'sglang', folder, logprobs: 'raw', ...patience },
    ...given,
  });
  const loggers = [jsonl(join(outFolder, 'metrics.jsonl')), rollouts(join(outFolder, 'rollouts.jsonl')), log];
  const training = {
    policy,
    objective: getObjective('grpo'),
    prompts,
    rewards: [{ reward }],
    options,
    outFolder,
    stop,
  };
  await trainOnline({ ...training, engine, loggers, ...run });
  const warnings = log.of('warning').map(({ message }) => message);
  return { outFolder, warnings, files: filesOf(outFolder) };
}

const results = ['model/model.safetensors', 'rollouts.jsonl', 'metrics.jsonl', 'run.json'];
const filesOf = (out: string) => results.map((name) => readFileSync(join(out, name)));
const rowsOf = <Row = RolloutRecord>(out: string, file = 'rollouts.jsonl'): Row[] =>
  readFileSync(join(out, file), 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Row);
const metricsOf = (out: string) =>
  rowsOf<Record<string, number>>(out, 'metrics.jsonl').filter(({ reward }) => reward !== undefined);

/** The files of a run with which nothing went wrong. */
let whole: Promise<Buffer[]> | undefined;
const undisturbed = () => (whole ??= train('whole').then(({ files }) => files));

async function sameAsUndisturbed(files: readonly Buffer[]): Promise<void> {
  for (const [at, bytes] of (await undisturbed()).entries()) expect(files[at]!.equals(bytes), results[at]).toBe(true);
}

/** Faults at the first requests for completions, of a step in which the weights have already moved. */
function faultsAt(from: number, ...faults: readonly Fault[]): void {
  server.fault = ({ path, before }) => (path === '/v1/completions' ? faults[before - from] : undefined);
}

afterEach(() => {
  server.fault = () => undefined;
});

describe('a server that draws', () => {
  it('is asked for ids and log-probabilities of a prompt, and learnt from as the policy would be', async () => {
    const { outFolder } = await train('asked');
    const asks = server.asks('/v1/completions');
    expect(asks).toHaveLength(STEPS * 3);
    expect(asks[0]!.body).toMatchObject({
      ...{ model: 'tiny', n: 4, max_tokens: 6, temperature: 1, logprobs: 1, stop_token_ids: stop },
      ...{ return_token_ids: true, top_p: 1, top_k: -1, min_p: 0, repetition_penalty: 1 },
    });
    expect(new Set(asks.map(({ body }) => body.seed)).size).toBe(asks.length);
    const rows = rowsOf(outFolder);
    expect(rows).toHaveLength(STEPS * 3 * 4);
    const texts = new Set(rows.map(({ step, promptId, ids }) => `${step} ${promptId} ${ids}`));
    expect(texts.size).toBe(rows.length);
    expect(rows.some(({ ended }) => ended)).toBe(true);
    expect(metricsOf(outFolder)[0]!['completions/clipped_ratio']).toBeLessThan(1);
  });

  const ways: Record<string, { how: Handover; paths: readonly string[] }> = {
    vllm: { how: 'vllm', paths: ['/collective_rpc', '/reset_prefix_cache'] },
    sglang: { how: 'sglang', paths: ['/update_weights_from_disk'] },
    posts: {
      how: { posts: [{ path: '/update_weights_from_disk', body: { model_path: '{folder}', version: '{step}' } }] },
      paths: ['/update_weights_from_disk'],
    },
  };
  it.each(Object.entries(ways))('has the weights of each update: %s', async (name, { how, paths }) => {
    const { outFolder } = await train(`ways-${name}`, { engine: { handover: how } });
    for (const path of paths) expect(server.asks(path)).toHaveLength(STEPS);
    for (const metrics of metricsOf(outFolder)) {
      expect(metrics['sampler/max_logprob_difference']).toBeLessThan(1e-4);
      expect(metrics['sampler/share_off']).toBe(0);
      expect(metrics['sampler/steps_behind']).toBe(0);
    }
    expect(existsSync(join(outFolder, 'engine'))).toBe(false);
    expect(filesOf(outFolder)[0]!.equals((await undisturbed())[0]!)).toBe(true);
  });

  it('by a command, whose complaint is told', async () => {
    const post = `fetch('${server.url}/update_weights_from_disk', { method: 'POST', body: JSON.stringify({ model_path: process.env.KELPIE_MODEL_FOLDER }) }).then(({ ok }) => { process.exitCode = ok ? 0 : 1; })`;
    const command = `test -f "$KELPIE_MODEL_FOLDER/model.safetensors" && "${process.execPath}" -e "${post}"`;
    const { files } = await train('command', { engine: { handover: { command } } });
    expect(files[0]!.equals((await undisturbed())[0]!)).toBe(true);
    const failing = train('command-fails', { engine: { handover: { command: 'echo no space left >&2; exit 3' } } });
    await expect(failing).rejects.toThrow(/could not be handed over.*it ended with 3, and said: no space left/);
  });

  it('that keeps its weights is told, counted and warned of', async () => {
    const { outFolder, warnings } = await train('none', { engine: { handover: 'none' } });
    expect(metricsOf(outFolder).map((metrics) => metrics['sampler/steps_behind'])).toEqual([0, 1, 2]);
    expect(metricsOf(outFolder)[2]!['sampler/mean_logprob_difference']).toBeGreaterThan(0.05);
    expect(metricsOf(outFolder)[2]!['sampler/share_off']).toBeGreaterThan(0);
    expect(warnings).toHaveLength(2);
    expect(warnings[0]).toContain('goes on drawing from the weights it has');
    expect(warnings[1]).toMatch(/nats a token from the policy's.*where up to 0.05 is expected/);
  });

  it('measures at the temperature that its log-probabilities are of', async () => {
    const { outFolder } = await train('warm', { options: { ...options, temperature: 0.7 } });
    for (const metrics of metricsOf(outFolder)) expect(metrics['sampler/max_logprob_difference']).toBeLessThan(1e-4);
  });

  it('has its key from the environment, and no file and no message has it', async () => {
    const key = 'sk-do-not-tell-this';
    process.env.KELPIE_ENGINE_API_KEY = key;
    try {
      const { outFolder } = await train('key');
      expect(server.asked.every(({ authorization }) => authorization === `Bearer ${key}`)).toBe(true);
      for (const file of walk(outFolder)) expect(readFileSync(file).includes(key), file).toBe(false);
      faultsAt(0, { status: 401, text: `bad key ${key}` });
      const error = await train('key-refused').catch((thrown: Error) => thrown);
      expect(String(error)).toMatch(/status 401: "bad key \*\*\*"/);
      expect(JSON.stringify([String((error as Error).cause), (error as Error).stack])).not.toContain(key);
    } finally {
      delete process.env.KELPIE_ENGINE_API_KEY;
    }
  });
});

function walk(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    return statSync(path).isDirectory() ? walk(path) : [path];
  });
}

describe('a server that fails now and then', () => {
  const change = (of: (choice: Answer['choices'][number]) => object): Fault => ({
    change: ({ choices }) => ({ choices: choices.map((choice) => ({ ...choice, ...of(choice) })) }),
  });
  it.each<[string, readonly Fault[]]>([
    ['answers 500 and 503', [{ status: 500, text: 'out of memory' }, { status: 503 }]],
    ['is busy', [{ status: 429 }, { status: 429 }]],
    ['drops connections', ['drop', 'drop', 'drop']],
    ['breaks completions off', [change(() => ({ finish_reason: 'abort' }))]],
  ])('%s: asked again, the same run', async (name, faults) => {
    await undisturbed();
    faultsAt(4, ...faults);
    const { files, warnings } = await train(`again-${name}`);
    expect(warnings).toEqual([
      expect.stringMatching(/^the server that draws failed (once|\d times) and was asked again/),
    ]);
    await sameAsUndisturbed(files);
  });

  it('draws all completions of a prompt alike is warned of', async () => {
    const one = ({ choices }: Answer) => ({ choices: choices.map((_, index) => ({ ...choices[0]!, index })) });
    server.fault = ({ path }) => (path === '/v1/completions' ? { change: one } : undefined);
    const { warnings } = await train('alike', { stop: [] });
    expect(warnings).toContainEqual(expect.stringContaining('draws them with one seed'));
  });

  it('never answers: let go of after the time limit', async () => {
    await undisturbed();
    faultsAt(4, 'hang');
    const { files } = await train('hangs', { engine: { timeoutMs: 5000 } });
    await sameAsUndisturbed(files);
  });

  it('dies mid-batch and comes back with its first weights: they are handed over again, nothing is lost', async () => {
    await undisturbed();
    let gone: Promise<void> | undefined;
    server.fault = ({ path, before }) => {
      if (path !== '/v1/completions' || before !== 4 || gone) return undefined;
      gone = server
        .die()
        .then(() => wait(150))
        .then(() => server.comeBack());
      return 'hang';
    };
    const { outFolder, files } = await train('dies');
    await gone;
    expect(server.asks('/update_weights_from_disk').length).toBeGreaterThan(STEPS);
    await sameAsUndisturbed(files);
    for (const metrics of metricsOf(outFolder)) expect(metrics['sampler/max_logprob_difference']).toBeLessThan(1e-4);
  });

  it('stays away: the error says server, prompt and tries; what was learnt is kept and gone on from', async () => {
    await undisturbed();
    server.fault = ({ path, before }) =>
      path === '/v1/completions' && before >= 4 ? { status: 502, text: 'bad gateway' } : undefined;
    const error = await train('away', { engine: { retries: 2 } }).catch((thrown: Error) => thrown);
    server.fault = () => undefined;
    expect(error).toMatchObject({
      code: 'not-drawn',
      where: {
        server: `${server.url}/v1/completions`,
        row: expect.stringMatching(/^prompt-\d$/),
        attempts: 3,
        status: 502,
      },
    });
    expect(readdirSync(scratch.at('away', 'checkpoints'))).toEqual(['step-000001']);
    const { files } = await train('away', { resume: true });
    await sameAsUndisturbed(files);
  });

  it.each<[string, Fault, RegExp]>([
    [
      'without ids',
      change(() => ({ token_ids: null, logprobs: { tokens: ['a'], token_logprobs: [0] } })),
      /without token ids.*return_token_ids.*--return-tokens-as-token-ids/,
    ],
    ['without log-probabilities', change(() => ({ logprobs: null })), /no log-probabilities.*--max-logprobs/],
    [
      'with too few',
      { change: ({ choices }) => ({ choices: choices.slice(1) }) },
      /expected 4 `choices`.*got 3 of \[1, 2, 3\]/,
    ],
    ['to another prompt', change(() => ({ prompt_token_ids: [1] })), /the prompt was read as other ids/],
    [
      'of another vocabulary',
      change(({ token_ids }) => ({ token_ids: token_ids.map(() => 10 ** 6) })),
      /the same model/,
    ],
    ['in text', { text: 'Service Unavailable' }, /not with JSON.*Service Unavailable/],
  ])('answers %s: at once an error of its prompt', async (name, fault, message) => {
    faultsAt(0, fault);
    const error = await train(`wrong-${name}`).catch((thrown: Error) => thrown);
    expect(String(error)).toMatch(message);
    expect((error as { where?: object }).where).toMatchObject({
      row: expect.stringMatching(/^prompt-\d$/),
      attempts: 1,
    });
    expect(existsSync(scratch.at(`wrong-${name}`))).toBe(false);
  });

  it('dies and never comes back: the error says server, prompt and tries; nothing is lost', async () => {
    await undisturbed();
    server.fault = ({ path, before }) => {
      if (path !== '/v1/completions' || before < 4) return undefined;
      void server.die();
      return 'hang';
    };
    const error = await train('gone', { engine: { retries: 2 } }).catch((thrown: Error) => thrown);
    expect(error).toMatchObject({
      where: { server: expect.stringContaining(server.url), row: expect.stringMatching(/^prompt-\d$/), attempts: 3 },
      message: expect.stringMatching(/the connection failed: .*ECONNREFUSED.* \(tried 3 times\)/),
    });
    server.fault = () => undefined;
    await server.comeBack();
    const { files } = await train('gone', { resume: true });
    await sameAsUndisturbed(files);
  });

  it.each<[string, Fault, RegExp]>([
    ['says so', { text: '{"success":false,"message":"shape mismatch"}' }, /did not take them: shape mismatch/],
    ['is another kind of server', { status: 404, text: 'no such path' }, /status 404/],
    ['fails again and again', { status: 500 }, /status 500 \(tried 3 times\)/],
  ])(
    'does not take the weights and %s: an error with server and step, the step before is kept',
    async (name, fault, message) => {
      const handed = '/update_weights_from_disk';
      server.fault = ({ path, before }) => (path === handed && before >= 1 ? fault : undefined);
      const error = await train(`refuses-${name}`, { engine: { retries: 2 } }).catch((thrown: Error) => thrown);
      expect(String(error)).toMatch(message);
      expect(error).toMatchObject({ code: 'handover-failed', where: { server: `${server.url}${handed}`, step: 1 } });
      expect(readdirSync(scratch.at(`refuses-${name}`, 'checkpoints'))).toEqual(['step-000001']);
    },
  );

  it('is left at once when aborted', async () => {
    await using policy = await Engine.open({ model: base, threads: 1 });
    server.fault = () => 'hang';
    const engine = completionsServer({ url: server.url, model: 'tiny', handover: 'none' });
    const stopping = new AbortController();
    const { signal } = stopping;
    const drawing = engine.draw(policy, {
      prompts,
      completions: 2,
      maxNewTokens: 4,
      temperature: 1,
      stop,
      seed: 0,
      version: 0,
      signal,
    });
    setTimeout(() => stopping.abort(new Error('enough')), 100);
    await expect(drawing).rejects.toThrow('enough');
  });

  it('refuses an address that holds a secret', () => {
    for (const url of ['http://me:pass@host', 'http://host?key=1', 'host:8000', 'ftp://host'])
      expect(() => completionsServer({ url, model: 'm', handover: 'none' })).toThrow('option `url`');
  });
});
