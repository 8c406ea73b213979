import * as cut from './benches/cut.js';
import * as decode from './benches/decode.js';
import * as dpo from './benches/dpo.js';
import * as memory from './benches/memory.js';
import * as objectives from './benches/objectives.js';
import * as rollout from './benches/rollout.js';
import * as train from './benches/train.js';
import { writePart } from './document.js';
import type { Settings } from './settings.js';

interface Bench {
  readonly defaults: Readonly<Record<string, string>>;
  readonly run: (args: readonly string[]) => Promise<{ settings: Settings; report: string }>;
}

const benches: Readonly<Record<string, Bench>> = { dpo, train, decode, rollout, memory, cut, objectives };

const usage = `usage: npm run bench -- NAME [options]

  --rounds N   interleaved rounds, 3 if not told      --threads N  one a core if not told
  --profile    ONNX Runtime's profile by operator     --write      into docs/benchmarks.md

${Object.entries(benches)
  .map(
    ([name, { defaults }]) =>
      `${name}: ${Object.entries(defaults)
        .map(([flag, value]) => `--${flag} ${value === '' ? '...' : value}`)
        .join(' ')}`,
  )
  .join('\n')}

Peers run in the Python that KELPIE_PEER_PYTHON names, from \${KELPIE_SHARED:-../shared}/bench.`;

const [name = '', ...args] = process.argv.slice(2);
const bench = Object.hasOwn(benches, name) ? benches[name] : undefined;
if (bench === undefined || args.includes('--help')) {
  console.error(usage);
  process.exitCode = bench === undefined ? 2 : 0;
} else {
  const { settings, report } = await bench.run(args);
  console.log(report);
  if (settings.write) writePart(name, report);
}
