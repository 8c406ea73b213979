import { readdirSync, readFileSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { getObjective } from '@kelpie/objectives';
import { Engine } from '@kelpie/policy';
import { batchReward, http, normalised, type Reward, type RewardError, rowReward } from '@kelpie/rewards';
import { trainOnline } from '@kelpie/runner';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { built, promptLines, Scratch, start, tinyModel } from './fixture.js';

const scratch = new Scratch();
const base = scratch.at('base');
const steps = 3;
const prompts = Array.from({ length: 6 }, (_, i) => ({ id: `prompt-${i}`, ids: [1 + i, 7, 20 + 3 * i] }));
const rowsOfStep = 3 * 4;
const evens = (ids: ArrayLike<number>) => Array.from(ids).filter((id) => id % 2 === 0).length;

interface Asked {
  readonly rows: readonly { readonly ids: readonly number[] }[];
}
/** What happens instead of the right answer; `undefined`: nothing else. */
type Answer = (asked: Asked, response: ServerResponse) => unknown;

let server: Server;
let requests = 0;
/** Instead of the right answer, by the number of the request. */
let faults: Readonly<Record<number, Answer>> = {};
const right = ({ rows }: Asked) => ({ rewards: rows.map(({ ids }) => evens(ids)) });

beforeAll(async () => {
  await tinyModel(base);
  server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const asked = JSON.parse(Buffer.concat(chunks).toString()) as Asked;
    const body = await (faults[requests++] ?? right)(asked, response);
    if (body === undefined || response.destroyed) return;
    response.end(typeof body === 'string' ? body : JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(() => {
  server.close();
  server.closeAllConnections();
  scratch.remove();
});
afterEach(() => {
  faults = {};
});

const url = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}/judge`;
/** Three requests a step, one after the other; behind it a transformation with a state of its own. */
const remote = (given = {}) => {
  const asked = http.open({ url: url(), batchSize: 4, concurrency: 1, backoffMs: 5, timeoutMs: 20_000, ...given });
  return normalised(asked, { by: 'running' });
};
const requestsOfStep = 3;

async function train(name: string, reward: Reward, { resume = false } = {}): Promise<readonly Buffer[]> {
  requests = 0;
  const outFolder = scratch.at(name);
  await using policy = await Engine.open({ model: base, threads: 1, keepReference: true });
  await trainOnline({
    policy,
    objective: getObjective('grpo'),
    prompts,
    rewards: [{ reward }],
    options: { steps, promptsPerStep: 3, completions: 4, maxNewTokens: 6, learningRate: 1e-2, schedule: 'constant' },
    outFolder,
    resume,
    stop: [0],
  });
  return filesOf(outFolder);
}

const results = ['model/model.safetensors', 'rollouts.jsonl', 'metrics.jsonl', 'run.json'];
const filesOf = (out: string) => results.map((name) => readFileSync(join(out, name)));

function expectSame(files: readonly Buffer[], others: readonly Buffer[]): void {
  for (const [at, bytes] of others.entries()) expect(files[at]!.equals(bytes), results[at]).toBe(true);
}

let undisturbed: Promise<readonly Buffer[]> | undefined;
const whole = () => (undisturbed ??= train('whole', remote()));

async function failure(run: Promise<unknown>): Promise<RewardError> {
  return run.then(
    () => expect.unreachable(),
    (error: RewardError) => error,
  );
}

/** Nothing of the step that failed is kept, and what was learnt before it is. */
function expectKept(name: string): void {
  expect(readdirSync(scratch.at(name, 'checkpoints'))).toEqual(['step-000001']);
  const lines = readFileSync(scratch.at(name, 'rollouts.jsonl'), 'utf8').trimEnd().split('\n');
  expect(lines).toHaveLength(rowsOfStep);
}

const status =
  (code: number): Answer =>
  (_, response) => {
    response.statusCode = code;
    return 'out of memory';
  };
const dropped: Answer = (_, response) => void response.destroy();
const droppedWithin: Answer = (_, response) => {
  response.writeHead(200, { 'content-length': '900' });
  response.write('{"rewards":[1,');
  setTimeout(() => response.destroy(), 10);
};
const slow: Answer = async (asked) => {
  await wait(200);
  return right(asked);
};

describe('a reward server that', () => {
  it.each<[string, Record<number, Answer>]>([
    ['is slow', { 3: slow, 5: slow }],
    ['answers 500', { 0: status(500), 4: status(500), 5: status(503) }],
    ['drops connections', { 3: dropped, 4: dropped, 5: droppedWithin }],
  ])('%s is asked again: the same run', async (name, some) => {
    const others = await whole();
    faults = some;
    expectSame(await train(name, remote()), others);
  });

  it('never answers is let go of and asked again: the same run', async () => {
    const others = await whole();
    faults = { 4: () => undefined };
    expectSame(await train('never', remote({ timeoutMs: 5000 })), others);
  });

  it.each<[string, Answer, RegExp]>([
    ['NaN', ({ rows }) => `{"rewards":[${rows.map(() => 'NaN')}]}`, /rows 4 to 7: .*not with JSON/],
    [
      'null',
      ({ rows }) => ({ rewards: rows.map(() => null) }),
      /rows 4 to 7: .*`rewards.0`: expected a number.*got null/,
    ],
    [
      'the wrong count',
      ({ rows }) => ({ rewards: rows.slice(1).map(() => 1) }),
      /rows 4 to 7: .*expected 4, one a row, got 3/,
    ],
    [
      'text for numbers',
      ({ rows }) => ({ rewards: rows.map(() => 'good') }),
      /rows 4 to 7: .*expected a number.*got "good"/,
    ],
    ['text', () => '<html>Bad Gateway</html>', /rows 4 to 7: .*not with JSON.*Bad Gateway/],
    [
      'an error of one row',
      ({ rows }) => ({ rewards: rows.map((_, at) => (at === 2 ? { error: 'too long' } : 1)) }),
      /row 6 \(`prompt-\d`\): the server says: too long/,
    ],
    ['500 without end', status(500), /rows 4 to 7: .*status 500.*\(tried 3 times\)/],
  ])(
    'answers %s: an error with rows; nothing is lost, and the run goes on once it is mended',
    async (name, answer, message) => {
      const others = await whole();
      const from = requestsOfStep + 1;
      faults = Object.fromEntries(Array.from({ length: 9 }, (_, at) => [from + at, answer]));
      const error = await failure(train(`answers-${name}`, remote({ retries: 2 })));
      expect(error.message).toMatch(message);
      expect(error.rows[0]!.id).toMatch(/^prompt-\d$/);
      expectKept(`answers-${name}`);
      faults = {};
      expectSame(await train(`answers-${name}`, remote(), { resume: true }), others);
    },
  );

  it('nobody runs: the run leaves nothing behind', async () => {
    const nobody = http.open({ url: 'http://127.0.0.1:9/judge', retries: 1, backoffMs: 1 });
    const error = await failure(train('nobody', nobody));
    expect(error.message).toMatch(/rows 0 to 11: .*the connection failed.*\(tried 2 times\)/);
    expect(readdirSync(scratch.root)).not.toContain('nobody');
  });
});

/** Something to wait for. */
function signalled(): { readonly given: Promise<void>; readonly give: () => void } {
  let give = () => {};
  const given = new Promise<void>((resolve) => {
    give = resolve;
  });
  return { given, give };
}

describe('a reward function that', () => {
  /** Like the right one, but for row 5 of the second step. */
  const unlike = (otherwise: () => number | Promise<number>, timeoutMs: number) => {
    let judged = 0;
    return rowReward(({ ids }) => (judged++ === rowsOfStep + 5 ? otherwise() : evens(ids)), {
      name: 'mine',
      timeoutMs,
    });
  };
  const good = () => rowReward(({ ids }) => evens(ids), { name: 'mine' });
  const forever = () => {
    for (;;);
  };

  it.each<[string, () => number | Promise<number>, RegExp]>([
    ['throws', () => JSON.parse('{'), /row 5 \(`prompt-\d`\): .*JSON/],
    ['rejects', () => Promise.reject(new Error('no such word')), /row 5 \(`prompt-\d`\): no such word/],
    ['never resolves', () => new Promise<number>(() => {}), /row 5 \(`prompt-\d`\): no answer within 1500 ms/],
    ['never returns', forever, /row 5 \(`prompt-\d`\): no answer within 1500 ms/],
    ['gives NaN', () => Number.NaN, /row 5 \(`prompt-\d`\): expected a finite number, got NaN/],
    ['gives text', () => '7' as unknown as number, /row 5 \(`prompt-\d`\): expected a finite number, got "7"/],
  ])('%s: an error with its row; nothing is lost', async (name, otherwise, message) => {
    const others = await train(`good-${name}`, good());
    const error = await failure(train(name, unlike(otherwise, 1500)));
    expect(error.message).toMatch(message);
    expect(error).toMatchObject({ code: 'reward-failed', reward: 'mine' });
    expectKept(name);
    expectSame(await train(name, good(), { resume: true }), others);
  });

  it('throws ends what else is asked: nothing is left waiting', async () => {
    const [asked, left] = [signalled(), signalled()];
    faults = {
      0: (_, response) => {
        response.on('close', left.give);
        asked.give();
      },
    };
    const other = http.open({ url: url(), name: 'other', retries: 0 });
    const rewards = [rowReward(() => asked.given.then(() => JSON.parse('{')), { name: 'mine' }), other].map(
      (reward) => ({ reward }),
    );
    await using policy = await Engine.open({ model: base, threads: 1, keepReference: true });
    requests = 0;
    const run = { policy, objective: getObjective('grpo'), prompts, rewards, outFolder: scratch.at('left'), stop: [0] };
    const error = await failure(trainOnline({ ...run, options: { steps: 1, completions: 2, maxNewTokens: 2 } }));
    expect(error.reward).toBe('mine');
    await left.given;
  });

  it('of all rows gives too few numbers: an error with both counts', async () => {
    const error = await failure(
      train(
        'few',
        batchReward((rows) => rows.slice(1).map(() => 1), { name: 'few' }),
      ),
    );
    expect(error.message).toBe('reward `few`: expected 12 numbers, one a row, got 11.');
  });
});

describe.skipIf(!built)('the command (skipped until `npm run build`)', () => {
  it('ends with a function that never returns, names the row and how to go on is there', async () => {
    scratch.write('prompts.jsonl', promptLines(6).join('\n'));
    const file = scratch.write('endless.mjs', 'let n = 0; export default () => { if (++n > 7) for (;;); return n; };');
    const out = scratch.at('endless');
    const argv = (...more: string[]) => [
      ...['train', 'grpo', '--model', base, '--prompts', scratch.at('prompts.jsonl'), '--out', out, '--threads', '1'],
      ...['--reward', `${file}:timeoutMs=500`, '--steps', '3', '--prompts-per-step', '2', '--completions', '2'],
      ...['--max-new-tokens', '4', '--heldout-fraction', '0', ...more],
    ];
    const { code, err } = await start(argv()).ended;
    expect(code).toBe(2);
    expect(err).toMatch(/reward `endless`: 1 of 4 rows not judged:\n {2}row 3 \(`p\d`\): no answer within 500 ms/);
    expect(err).toContain('step 2 failed; step 1 is kept');
    expect(readdirSync(join(out, 'checkpoints'))).toEqual(['step-000001']);
  });

  it('writes the headers of a reward server into no file', async () => {
    scratch.write('prompts.jsonl', promptLines(4).join('\n'));
    const out = scratch.at('headers');
    const reward = JSON.stringify({
      type: 'clipped',
      high: 9,
      of: { type: 'http', url: url(), headers: { authorization: 'sk-secret' } },
    });
    const argv = [
      '--reward',
      reward,
      '--watch',
      `http:${JSON.stringify({ name: 'watched', url: url(), headers: { key: 'sk-secret' } })}`,
    ];
    const { code, err } = await start([
      ...['train', 'grpo', '--model', base, '--prompts', scratch.at('prompts.jsonl'), '--out', out, '--threads', '1'],
      ...[
        '--steps',
        '2',
        '--save-every',
        '1',
        '--prompts-per-step',
        '2',
        '--completions',
        '2',
        '--max-new-tokens',
        '4',
        ...argv,
      ],
    ]).ended;
    expect(code, err).toBe(0);
    const files = readdirSync(out, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    expect(files.length).toBeGreaterThan(5);
    for (const { parentPath, name } of files)
      expect(readFileSync(join(parentPath, name)).includes('sk-secret'), name).toBe(false);
  });
});
