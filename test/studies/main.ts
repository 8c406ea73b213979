import { messageOf } from '@kelpie/policy';
import * as rewardHacking from './reward-hacking/main.js';
import * as vader from './vader/main.js';

interface Study {
  readonly usage: string;
  readonly run: (args: readonly string[]) => Promise<void>;
}

const studies: Readonly<Record<string, Study>> = { 'reward-hacking': rewardHacking, vader };

const [name = '', ...args] = process.argv.slice(2);
const study = Object.hasOwn(studies, name) ? studies[name] : undefined;
if (study === undefined || args.includes('--help')) {
  const known = Object.keys(studies).map((each) => `  npm run study -- ${each} --help`);
  console.error(study?.usage ?? `usage: npm run study -- NAME [options]\n\n${known.join('\n')}`);
  process.exitCode = study === undefined ? 2 : 0;
} else {
  await study.run(args).catch((error: unknown) => {
    console.error(messageOf(error));
    process.exitCode = 1;
  });
}
