import { join } from 'node:path';
import { Option } from '@commander-js/extra-typings';
import { completionsServer, type RolloutEngine } from '@kelpie/runner';
import type { OnlineConfig } from '../config/schema.js';
import { UsageError } from '../exit.js';
import { unset } from '../flags.js';

export function engineFlags(): Option[] {
  return [
    unset(
      new Option('--engine-url <url>', 'a completions server that draws, as vLLM; its key in KELPIE_ENGINE_API_KEY'),
      'drawn by the policy itself',
    ),
    new Option('--engine-model <name>', 'what that server calls the model'),
    new Option('--engine-handover <how>', 'how it gets what is learnt: vllm, sglang, none, or a command to run'),
  ].map((option) => option.helpGroup('Engine:'));
}

/** The server that draws, if one is named. Weights are put into `out/engine` for it. */
export function engineOf(
  { online: { engineUrl: url, engineModel: model, engineHandover: how }, output: { folder: out } }: OnlineConfig,
  { tokenizer }: { readonly tokenizer: string },
): RolloutEngine | undefined {
  if (url === undefined) {
    if (model === undefined && how === undefined) return undefined;
    throw new UsageError('which server is to draw? Name it with `--engine-url`, or leave the other options of it out');
  }
  if (model === undefined)
    throw new UsageError(
      'what does the server call the model? Say it with `--engine-model`; `URL/v1/models` lists them',
    );
  if (how === undefined) {
    throw new UsageError(
      'how does the server get what is learnt? Say it with `--engine-handover`: `vllm`, `sglang`, a command that has it load `$KELPIE_MODEL_FOLDER`, or `none`, if it shall keep its weights',
    );
  }
  const handover = how === 'vllm' || how === 'sglang' || how === 'none' ? how : { command: how };
  return completionsServer({ url, model, handover, folder: join(out!, 'engine'), save: { tokenizer } });
}
