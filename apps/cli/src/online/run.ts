import { join } from 'node:path';
import type { Objective } from '@kelpie/objectives';
import { openPolicy } from '@kelpie/policy';
import { jsonl, type Logger, type OnlineResult, rollouts, timing, trainOnline } from '@kelpie/runner';
import { command, interruptible, sayHowToGoOn, tryIt } from '../commands/train.js';
import type { Resolved } from '../config/resolve.js';
import type { OnlineConfig } from '../config/schema.js';
import type { Context } from '../context.js';
import { tokenizerAt } from '../model.js';
import { many } from '../print.js';
import { labelled, Progress } from '../progress.js';
import { factsOf, reportRun } from '../report-page.js';
import { tokenizerFolder } from '../start.js';
import { givenObjectiveOptions, introduce } from '../train-parts.js';
import { verdictText } from '../verdict.js';
import { engineOf } from './engine.js';
import { withRewards } from './rewards.js';
import { onlineOpenOptions, openCritic, readPrompts, requireOnline, rolloutOptions } from './start.js';

/** Trains on fresh completions, tells how it goes, and what came of it. */
export async function runOnline(
  objective: Objective,
  resolved: Resolved<OnlineConfig>,
  { resume }: { readonly resume: boolean },
  context: Context,
): Promise<void> {
  const { terminal } = context;
  const { config } = resolved;
  const { prompts: files, out } = requireOnline(resolved, { resume });
  const stopping = interruptible(context);
  try {
    const { result, prompt } = await withRewards(config.online, async (judges) => {
      const tokenizer = await tokenizerAt(tokenizerFolder(config));
      terminal.status(terminal.noteColor.dim('opening the model ...'));
      await using policy = await openPolicy(onlineOpenOptions(objective, config));
      await using critic = await openCritic(config);
      terminal.status('');
      introduce(objective, { policy, tokenizer }, config, terminal);
      const { train, heldout, count } = await readPrompts(config, files, { policy, tokenizer });
      terminal.print(labelled(terminal, 'data', many(count, 'prompt')));
      await using engine = engineOf(config, { tokenizer: tokenizer.folder });
      const result = await trainOnline({
        policy,
        ...(engine && { engine }),
        ...(critic && { critic }),
        ...judges,
        objective,
        objectiveOptions: givenObjectiveOptions(resolved),
        prompts: train,
        heldout,
        options: rolloutOptions(config),
        outFolder: out,
        resume,
        signal: stopping.signal,
        loggers: [...logsIn(out, config), new Progress(terminal, { divergence: true })],
        tokenizer,
        save: { tokenizer: tokenizer.folder, merge: config.output.merge },
        ...(!config.training.selfCheck && { selfCheckTolerance: false as const }),
      });
      return { result, prompt: train[0]!.prompt };
    });
    terminal.status('');
    if (result.stopped) sayHowToGoOn(result, context);
    else conclude(result, { config, out, prompt }, context);
    await reportRun({ out, step: result.step, facts: factsOf(config, files) }, context);
  } finally {
    terminal.status('');
    stopping.done();
  }
}

const logsIn = (out: string, { online: { keepRollouts } }: OnlineConfig): Logger[] => [
  jsonl(join(out, 'metrics.jsonl')),
  timing(join(out, 'timing.jsonl')),
  ...(keepRollouts === false ? [] : [rollouts(join(out, 'rollouts.jsonl'))]),
];

const endings = { divergence: '`--max-divergence`', time: '`--max-minutes`' } as const;

interface Ending {
  readonly config: OnlineConfig;
  readonly out: string;
  readonly prompt: string;
}

function conclude(
  { verdict, early, step, steps }: OnlineResult,
  { config, out, prompt }: Ending,
  { terminal, io }: Context,
): void {
  const saved = join(out, 'model');
  if (early !== undefined)
    terminal.print(
      `\nended after step ${step} of ${steps}: the budget ${endings[early]} is spent; with a larger one, \`--resume\` goes on`,
    );
  if (verdict !== undefined) terminal.print(`\n${verdictText(verdict, terminal, { divergence: true })}`);
  terminal.print(`\n${labelled(terminal, 'saved', saved)}`);
  terminal.print(`${terminal.color.dim('try it')}\n  ${command(tryIt(saved, config, prompt), io)}`);
}
