import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { objectives } from '@kelpie/objectives';
import { describe, expect, it } from 'vitest';
import { offlineObjectives } from './offline-objectives.js';
import { Workspace } from './testing/workspace.js';

const { at, kelpie } = new Workspace('main');

describe('objectives', () => {
  it('lists every one, also as JSON', async () => {
    const { out } = await kelpie(['objectives']);
    for (const name of Object.keys(objectives)) expect(out).toMatch(new RegExp(`^${name} `, 'm'));
    const listed = JSON.parse((await kelpie(['objectives', '--json'])).out) as { name: string }[];
    expect(listed.map(({ name }) => name)).toEqual(Object.keys(objectives));
  });

  it('shows one in full', async () => {
    expect((await kelpie(['objectives', 'sft'])).out).toMatchInlineSnapshot(`
      "sft  Supervised fine-tuning
      Raises the likelihood of the completions.

      paper             Ouyang et al. 2022, arXiv:2203.02155
      rows              text
      policy scores     logprobs
      reference scores  none
      micro-batches     a step may be split

      option       default  allowed
      --reduction  tokens   tokens | rows | sums  Mean over all completion tokens of
                                                  the step, mean of row means, or mean
                                                  of row sums.
      "
    `);
  });
});

describe('the command line', () => {
  it.each([
    [
      ['train', '--dry-run'],
      'error: which objective? name one behind `train`: say `kelpie train dpo ...`, or write `objective:` with `name: dpo` below it in a config (`kelpie objectives` lists them)\n',
    ],
    [['data', '--bta'], 'error: unknown option `--bta` (`kelpie data --help` lists them)\n'],
    [
      ['train', 'dpo', '--bta', '1'],
      'error: unknown option `--bta`; nearest: `--beta`, `--beta1`, `--beta2` (`kelpie train dpo --help` lists them)\n',
    ],
    [
      ['train', 'dpo', '--beta', '-1'],
      'error: option `--beta <n>` argument `-1` is invalid. Expected a number above 0. (`kelpie train dpo --help`)\n',
    ],
    [
      ['train', 'dpo', '--epochs', '1.5'],
      'error: option `--epochs <n>` argument `1.5` is invalid. Expected a whole number from 1. (`kelpie train dpo --help`)\n',
    ],
  ])('%j', async (argv, err) => {
    expect(await kelpie(argv)).toMatchObject({ code: 2, err });
  });

  it('names commands near an unknown one', async () => {
    const { code, err } = await kelpie(['trian']);
    expect(code).toBe(2);
    expect(err).toMatch(/^error: unknown command `trian`; nearest: `train`, .* \(`kelpie --help` lists them\)\n$/);
  });

  it('names objectives near an unknown one', async () => {
    const { code, err } = await kelpie(['train', 'dpoo']);
    expect(code).toBe(2);
    expect(err).toMatch(/^error: unknown objective `dpoo`; nearest: `dpo`/);
    expect((await kelpie(['objectives', 'dpoo'])).err).toContain('Did you mean `dpo`');
  });

  it('gives every objective its own options, with their defaults', async () => {
    for (const objective of offlineObjectives()) {
      const { code, out } = await kelpie(['train', objective.name, '--help']);
      expect(code).toBe(0);
      for (const { description } of objective.describeOptions())
        expect(out.replaceAll(/\s+/g, ' ')).toContain(description.slice(1, -1));
    }
  });

  it('has a help for dpo', async () => {
    expect((await kelpie(['train', 'dpo', '--help'])).out).toMatchInlineSnapshot(`
      "Usage: kelpie train dpo --data <file...> --model <folder> --out <folder> [options]

      Direct preference optimisation. Raises the logratio of chosen over that of
      rejected, with a logistic loss on their margin.
      Rafailov et al. 2023, arXiv:2305.18290

      Options of dpo:
        --beta <n>                  weight of the pull to the reference (default: 0.1)
        --label-smoothing <n>       share of pairs taken to be the wrong way round
                                    (default: 0)
        --nll-weight <n>            weight of the negative log-likelihood of the
                                    chosen completion (default: 0)
        --nll-reduction <name>      mean over all chosen tokens of the step, mean of
                                    row means, or mean of row sums (tokens, rows,
                                    sums; default: tokens)

      Config:
        -c, --config <file...>      values from YAML; later files win, and what is
                                    said here wins over all
        --set <key=value...>        a value by its place in the config:
                                    training.learningRate=1e-5
        --dry-run                   shows config, tokens, memory and two rows, and
                                    stops

      Data:
        -d, --data <file...>        pairs: prompt, chosen, rejected; .jsonl or .json,
                                    also .gz
        --heldout <file...>         rows to evaluate on, in place of a share of the
                                    data
        --format <name>             how the rows are laid out (implicit-prompt,
                                    labelled, messages, messages-pairs, pairs,
                                    prompt-completion, text; default: found by their
                                    columns)
        --columns <name=column...>  columns under other names: prompt=question
        --on-bad-row <error|drop>   lists all bad rows and stops, or leaves them out
                                    and counts them (default: error)
        --truncation <rule>         of rows that are too long (prompt-start, end,
                                    drop, error; default: prompt-start for pairs; a
                                    prompt that leaves no room is a bad row)
        --max-length <n>            tokens of a row at most (default: the model's
                                    context)
        --score-from <name>         where the sides of a pair begin to count (shared,
                                    per-side; default: shared)

      Model:
        -m, --model <folder>        a Hugging Face model folder to start from
        --init <config.json>        or the config of a model to start from random
                                    weights
        --reference <folder...>     what the policy is held to; several, as one=0.5
                                    two=0.5, for their mean (default: its start)
        -o, --out <folder>          where the run and its model go
        --resume                    goes on from the newest checkpoint in --out
        --tokenizer <folder>        where the tokenizer is (default: the model's
                                    folder)
        --threads <n>               threads of the arithmetic (default: one a core)

      LoRA:
        --lora [rank]               trains a low-rank adapter instead of the weights,
                                    of rank 16 if not told
        --lora-alpha <n>            scales the adapter by alpha / rank (default: twice
                                    the rank)
        --lora-rslora               scales it by alpha / sqrt(rank)
        --dora                      trains the magnitudes of its rows apart from their
                                    directions
        --lora-targets <names>      layers that get one: q_proj,v_proj (default:
                                    all-linear, all but the head)
        --adapter <folder>          a PEFT folder to go on training
        --merge                     saves the whole model with the adapter merged in,
                                    not a PEFT folder

      Training:
        --learning-rate <n>         peak learning rate of AdamW (default: 5e-6)
        --schedule <name>           how the learning rate goes on after the warm-up
                                    (constant, linear, cosine; default: linear)
        --warmup-steps <n>          steps in which the learning rate rises from 0 to
                                    its peak (default: 0)
        --batch-size <n>            rows of one optimizer step: pairs, for preferences
                                    (default: 32)
        --micro-batch-tokens <n>    tokens computed at once at most, padding included
                                    and a prompt that completions share once; decides
                                    on memory, not on the result. Without it 4096,
                                    from 10 million parameters on 1024, or the longest
                                    row if that is more
        --micro-batch-rows <n>      rows computed at once at most
        --epochs <n>                passes over the data (default: 1)
        --max-steps <n>             stops after this many steps; passes are added as
                                    needed
        --no-shuffle                turns off: a new order of the rows each pass, from
                                    the seed
        --weight-decay <n>          decoupled weight decay, times the learning rate
                                    (default: 0)
        --decay <matrices|all>      what decays: \`matrices\` spares norms and biases
                                    (default: matrices)
        --beta1 <n>                 decay of AdamW's first moment (default: 0.9)
        --beta2 <n>                 decay of AdamW's second moment (default: 0.999)
        --eps <n>                   AdamW's epsilon (default: 1e-8)
        --max-grad-norm <n>         the gradient is clipped to this global L2 norm; 0:
                                    never (default: 1)
        --sync-reference-every <n>  steps between moves of the reference towards the
                                    policy, as in TR-DPO; 0: it stands still (default:
                                    0)
        --reference-mixture <n>     the policy's share of the reference after such a
                                    move; 1 makes it the policy (default: 0.6)
        --temperature <n>           divides the logits before any score is taken
                                    (default: 1)
        --no-entropy                turns off: logs the entropy of the next-token
                                    distribution: one more score
        --heldout-fraction <n>      rows held out: a share below 1, a number from 1,
                                    none at 0 (default: 0.1)
        --evaluate-every <n>        steps between evaluations; 0: only before the
                                    first and after the last (default: 0)
        --save-every <n>            steps between checkpoints; 0: only when the run is
                                    stopped (default: 0)
        --keep-checkpoints <n>      checkpoints that are kept: the newest ones
                                    (default: 2)
        --sample-prompts <n>        held-out prompts completed before and after
                                    training (default: 16)
        --sample-tokens <n>         tokens of such a completion at most (default: 64)
        --seed <n>                  decides on the order of rows, on what is held out
                                    and on sampling (default: 0)
        --no-self-check             turns off: a few identities are checked before the
                                    first step

      Options:
        -h, --help                  this help

      Examples:
        kelpie train dpo --model base --data pairs.jsonl --out out --learning-rate 1e-5 --epochs 2
        kelpie train dpo --model base --data pairs.jsonl --out out --lora 16 --learning-rate 1e-4
      "
    `);
  });

  it('shows a stack only when asked', async () => {
    const argv = ['generate', '--model', at('nowhere'), '-p', 'a'];
    expect((await kelpie(argv)).err).not.toContain('    at ');
    expect((await kelpie([...argv, '--debug'])).err).toContain('    at ');
  });

  it('colours a terminal, unless NO_COLOR', async () => {
    const escaped = '\u001b[';
    expect((await kelpie(['objectives'], { tty: true })).out).toContain(escaped);
    expect((await kelpie(['objectives'], { tty: true, env: { NO_COLOR: '1' } })).out).not.toContain(escaped);
    expect((await kelpie(['objectives'])).out).not.toContain(escaped);
  });
});

const bin = fileURLToPath(new URL('../bin/kelpie.js', import.meta.url));
const built = existsSync(new URL('../dist/main.js', import.meta.url));

describe.skipIf(!built)('the built command (skipped until `npm run build`)', () => {
  const spawn = (...argv: string[]) => spawnSync(process.execPath, [bin, ...argv], { encoding: 'utf8' });

  it('tells its version', () => {
    expect(spawn('--version')).toMatchObject({ status: 0, stdout: '0.1.0\n', stderr: '' });
  });

  it('ends with 2 at an error of the user', () => {
    expect(spawn('train', 'dpo')).toMatchObject({ status: 2, stdout: '' });
  });
});
