import type { ServerResponse } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, describe, expect, it } from 'vitest';
import type { RewardError } from '../error.js';
import { rowOf } from '../testing/rows.js';
import { type Asked, startServer, type TestServer } from '../testing/server.js';
import { http } from './http.js';

let server: TestServer;
afterEach(() => server.close());

const rows = Array.from({ length: 10 }, (_, at) => rowOf('x'.repeat(at), { meta: { id: `r${at}`, n: at } }));
const lengths = ({ rows }: Asked) => ({ rewards: rows.map(({ completion }) => completion.length) });
const status = (response: ServerResponse, code: number, body = ''): string => {
  response.statusCode = code;
  return body;
};
/** Starts the server; the options of a reward that asks it. */
async function serve(answer: Parameters<typeof startServer>[0]) {
  server = await startServer(answer);
  return { url: server.url, backoffMs: 1, batchSize: 4, concurrency: 2 };
}
const failed = (reward: { judge(all: typeof rows): Promise<unknown> }): Promise<RewardError> =>
  reward.judge(rows).then(
    () => expect.unreachable(),
    (error: RewardError) => error,
  );

it('asks in batches, several at once, and keeps the order whatever answers first', async () => {
  const options = await serve(async (asked) => {
    await wait(asked.before === 0 ? 60 : 5);
    return lengths(asked);
  });
  const { rewards } = await http.open({ ...options, headers: { authorization: 'Bearer abc' } }).judge(rows);
  expect([...rewards]).toEqual(rows.map(({ completion }) => completion.length));
  expect(server.asked.map(({ rows }) => rows.length).sort()).toEqual([2, 4, 4]);
  expect(server.most).toBe(2);
  expect(server.asked[0]!.headers).toMatchObject({ authorization: 'Bearer abc', 'content-type': 'application/json' });
  expect(server.asked[0]!.rows[1]).toEqual({
    prompt: 'Say something:',
    completion: 'x',
    ids: [0],
    ended: true,
    meta: { id: 'r1', n: 1 },
  });
});

describe('tries again', () => {
  it.each([500, 503, 429, 408])('after status %d', async (code) => {
    const options = await serve((asked, response) => (asked.before < 3 ? status(response, code) : lengths(asked)));
    const { rewards } = await http.open(options).judge(rows);
    expect([...rewards]).toEqual(rows.map(({ completion }) => completion.length));
  });

  it('after a connection that was dropped, before or within the answer', async () => {
    const options = await serve((asked, response) => {
      if (asked.before === 0) return void response.destroy();
      if (asked.before > 1) return lengths(asked);
      response.writeHead(200, { 'content-length': '900' });
      response.write('{"rewards":[1,');
      setTimeout(() => response.destroy(), 10);
    });
    expect((await http.open(options).judge(rows)).rewards).toHaveLength(10);
  });

  it('after a request that took too long, which it lets go of', async () => {
    const options = await serve((asked) => (asked.before === 0 ? undefined : lengths(asked)));
    expect((await http.open({ ...options, timeoutMs: 100 }).judge(rows)).rewards).toHaveLength(10);
  });

  it('no sooner than the server says', async () => {
    const options = await serve((asked, response) => {
      if (asked.before > 0) return lengths(asked);
      response.setHeader('retry-after', '0.2');
      return status(response, 429);
    });
    const started = performance.now();
    await http.open({ ...options, batchSize: 10 }).judge(rows);
    expect(performance.now() - started).toBeGreaterThan(190);
  });

  it('with pauses that double, each other for each batch', async () => {
    const options = await serve((_, response) => status(response, 500));
    const started = performance.now();
    await failed(http.open({ ...options, batchSize: 10, retries: 3, backoffMs: 40 }));
    // 40 + 80 + 160, each between half of it and all of it.
    expect(performance.now() - started).toBeGreaterThan(139);
    expect(server.asked).toHaveLength(4);
  });
});

describe('fails with rows and status', () => {
  it('once no try is left', async () => {
    const options = await serve(({ rows, ...asked }, response) =>
      rows.some(({ meta }) => meta.n === 5) ? status(response, 500, 'out of memory') : lengths({ rows, ...asked }),
    );
    const error = await failed(http.open({ ...options, retries: 2 }));
    expect(error.message).toBe(
      `reward \`http\`: 4 of 10 rows not judged:\n  rows 4 to 7: ${server.url} answered with status 500: "out of memory" (tried 3 times)`,
    );
    expect(error.rows.map(({ row, id, status }) => [row, id, status])).toEqual(
      [4, 5, 6, 7].map((row) => [row, `r${row}`, 500]),
    );
  });

  it.each([400, 401, 404, 301])('at once after status %d', async (code) => {
    const options = await serve((_, response) => status(response, code, 'no'));
    const error = await failed(http.open({ ...options, batchSize: 10 }));
    expect(error.rows[0]).toMatchObject({ row: 0, status: code });
    expect(server.asked).toHaveLength(1);
  });

  it.each([
    ['text', 'seven', /not with JSON .*: "seven"/],
    ['NaN, as Python writes it', '{"rewards": [NaN]}', /not with JSON/],
    ['too few', { rewards: [1, 2] }, /`rewards`: expected 10, one a row, got 2/],
    ['too many', { rewards: Array(11).fill(0) }, /`rewards`: expected 10, one a row, got 11/],
    ['text for a number', { rewards: [...Array(9).fill(0), '1'] }, /`rewards.9`: expected a number.*, got "1"/],
    ['null', { rewards: [null, ...Array(9).fill(0)] }, /`rewards.0`: expected a number.*, got null/],
    ['a list', [1, 2], /the answer: expected an object with `rewards`/],
    ['no rewards', { scores: [] }, /`rewards`: expected a list, got nothing/],
  ])('at once when it answers %s', async (_, body, message) => {
    const options = await serve(() => body);
    const error = await failed(http.open({ ...options, batchSize: 10 }));
    expect(error.message).toMatch(message);
    expect(error.rows).toHaveLength(10);
    expect(error.rows[0]!.status).toBe(200);
    expect(server.asked).toHaveLength(1);
  });

  it('of the rows alone that the server could not judge', async () => {
    const options = await serve(({ rows }) => ({
      rewards: rows.map(({ meta }) => (meta.n === 6 ? { error: 'too long' } : 1)),
    }));
    const error = await failed(http.open(options));
    expect(error.message).toBe('reward `http`: 1 of 10 rows not judged:\n  row 6 (`r6`): the server says: too long');
  });

  it('when nobody listens', async () => {
    const options = await serve(lengths);
    await server.close();
    const error = await failed(http.open({ ...options, retries: 1 }));
    expect(error.message).toMatch(/rows 0 to 3: .*the connection failed: .*ECONNREFUSED.* \(tried 2 times\)/);
  });
});

it('takes null for not judged where that was said', async () => {
  const options = await serve(({ rows }) => ({ rewards: rows.map(({ meta }) => (Number(meta.n) % 2 ? null : 1)) }));
  const { rewards } = await http.open({ ...options, abstains: true }).judge(rows);
  expect([...rewards.slice(0, 3)]).toEqual([1, Number.NaN, 1]);
});

it('gives the parts that were asked for, and fails without them', async () => {
  const options = await serve((asked) => ({
    ...lengths(asked),
    parts: { safe: asked.rows.map(({ meta }) => meta.n) },
  }));
  const { parts } = await http.open({ ...options, name: 'judge', parts: ['safe'] }).judge(rows);
  expect([...parts['judge/safe']!]).toEqual(rows.map((_, at) => at));
  const error = await failed(http.open({ ...options, parts: ['safe', 'kind'] }));
  expect(error.message).toContain('`parts.kind`: expected a list, got nothing');
});

it.each([
  ['an answer', () => undefined, {}],
  ['the next try', (_: Asked, response: ServerResponse) => status(response, 503), { backoffMs: 60_000 }],
])('stops waiting for %s when it is aborted', async (_, answer, further) => {
  const options = await serve(answer);
  const stop = new AbortController();
  const judged = http.open({ ...options, ...further }).judge(rows, { signal: stop.signal });
  setTimeout(() => stop.abort(new Error('enough')), 60);
  const started = performance.now();
  await expect(judged).rejects.toThrow('enough');
  expect(performance.now() - started).toBeLessThan(2000);
});

it.each(['http://me:secret@localhost/', 'http://localhost/?key=secret', 'http://localhost/#secret'])(
  'takes nothing in the address that errors and runs would show: %s',
  async (url) => {
    await serve(lengths);
    expect(() => http.open({ url })).toThrow('option `url`: expected one without a name, a password, a query');
  },
);

describe('a key', () => {
  const key = 'k-0123456789';
  afterEach(() => {
    delete process.env.KELPIE_REWARD_API_KEY;
    delete process.env.OTHER_KEY;
  });

  it('comes from the environment, by the name that is asked for, and a header goes before', async () => {
    process.env.KELPIE_REWARD_API_KEY = key;
    process.env.OTHER_KEY = 'other-key';
    const options = { ...(await serve(lengths)), batchSize: 10 };
    await http.open(options).judge(rows);
    await http.open({ ...options, apiKeyVariable: 'OTHER_KEY' }).judge(rows);
    await http.open({ ...options, headers: { Authorization: 'Basic mine' } }).judge(rows);
    expect(server.asked.map(({ headers }) => headers.authorization)).toEqual([
      `Bearer ${key}`,
      'Bearer other-key',
      'Basic mine',
    ]);
  });

  it.each([
    ['a status', (told: string, response: ServerResponse) => status(response, 401, told)],
    ['what is no JSON', (told: string) => told],
    ['the error of a row', (told: string) => ({ rewards: rows.map(() => ({ error: told })) })],
  ])('is not shown when the server repeats it in %s', async (_, answer) => {
    const options = await serve(({ headers }, response) =>
      answer(`${'.'.repeat(40)} no ${headers.authorization} ${headers['x-team']}`, response),
    );
    process.env.KELPIE_REWARD_API_KEY = key;
    const error = await failed(http.open({ ...options, batchSize: 10, headers: { 'x-team': 'team-secret' } }));
    expect(error.message).toContain('no Bearer *** ***');
    expect(`${error.message} ${JSON.stringify(error.rows)} ${error.stack}`).not.toMatch(/0123456789|team-secret/);
  });
});
