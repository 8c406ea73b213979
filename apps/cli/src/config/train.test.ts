import { existsSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { beforeAll, describe, expect, it } from 'vitest';
import { Workspace, weights } from '../testing/workspace.js';

const { at, kelpie, sftArgv, dpoArgv, trainBase } = new Workspace('config');

beforeAll(trainBase);

describe('train with a config', () => {
  const config = (name: string, text: string) => {
    writeFileSync(at(name), text);
    return at(name);
  };
  const run = () =>
    config(
      'run.yaml',
      `objective: { name: dpo, beta: 0.5 }
model: { threads: 1, path: ${at('base', 'model')} }
data:
  files: ${at('pairs.jsonl')}
  heldout: ${at('heldout.jsonl')}
training: { batchSize: 4, learningRate: 1e-4, sampleTokens: 8 }
output: { folder: ${at('configured')} }
`,
    );

  it('shows what would be done, and writes nothing', async () => {
    const { code, out, err } = await kelpie(['train', '--config', run(), '--max-steps', '2', '--dry-run']);
    expect(code, err).toBe(0);
    expect(err).toBe('');
    expect(existsSync(at('configured'))).toBe(false);
    expect(out).toMatch(/^run +2 steps, 4 a pass over 16 rows; 6 held out\nmemory +about \d+ MB at the peak: process/m);
    // The column of comments depends on the length of paths.
    const shown = out.slice(out.indexOf('\nobjective:')).replaceAll(/ +# /g, '  # ');
    expect(shown).toMatchInlineSnapshot(`
      "
      objective:
        name: dpo  # ROOT/run.yaml:1:14
        beta: 0.5  # ROOT/run.yaml:1:25
        labelSmoothing: 0  # default
        nllWeight: 0  # default
        nllReduction: tokens  # default
      model:
        path: ROOT/base/model  # ROOT/run.yaml:2:22
        tokenizer: ROOT/base/model  # the model's folder
        threads: 1  # ROOT/run.yaml:2:10
      data:
        files: ROOT/pairs.jsonl  # ROOT/run.yaml:4:3
        heldout: ROOT/heldout.jsonl  # ROOT/run.yaml:5:3
        format: pairs  # found by the columns
        onBadRow: error  # default
        truncation: prompt-start  # for pairs; not asked for: a prompt without room is a bad row
        maxLength: 128  # the model's context
        scoreFrom: shared  # default
      training:
        learningRate: 0.0001  # ROOT/run.yaml:6:27
        schedule: linear  # default
        warmupSteps: 0  # default
        batchSize: 4  # ROOT/run.yaml:6:13
        microBatchTokens: 4096  # the model's size, the longest row
        epochs: 1  # default
        maxSteps: 2  # --max-steps
        shuffle: true  # default
        weightDecay: 0  # default
        decay: matrices  # default
        beta1: 0.9  # default
        beta2: 0.999  # default
        eps: 1e-8  # default
        maxGradNorm: 1  # default
        syncReferenceEvery: 0  # default
        referenceMixture: 0.6  # default
        temperature: 1  # default
        entropy: true  # default
        evaluateEvery: 0  # default
        saveEvery: 0  # default
        keepCheckpoints: 2  # default
        samplePrompts: 16  # default
        sampleTokens: 8  # ROOT/run.yaml:6:47
        seed: 0  # default
        selfCheck: true  # default
      output:
        folder: ROOT/configured  # ROOT/run.yaml:7:11
        merge: false  # default

      row ROOT/pairs.jsonl:1
        not scored           18 tokens  <bos> Last ·night ·at ·the ·cinema : ·"
                                        Midnight ·Forest " , ·a ·comedy ·by ·Nadia
                                        ·Rossi :
        chosen, scored       35 tokens  ·The ·hero ·is ·irresistible . ·Also , ·the
                                        ·lighting ·is ·very ·good ·and ·superb . ·I
                                        ·adored ·the ·soundtrack , ·and ·I ·liked ·the
                                        ·script . ·The ·pacing ·is ·superb ·and
                                        ·really ·brisk . <eos>
        rejected, scored     33 tokens  ·It ·is ·the ·third ·comedy ·by ·Rossi . ·I
                                        ·loved ·the ·photography . ·Moreover , ·the
                                        ·pacing ·is ·superb . ·However , ·there ·is
                                        ·no ·doubt ·that ·the ·script ·is ·awful .
                                        <eos>

      row ROOT/pairs.jsonl:2
        not scored           13 tokens  <bos> Review ·of ·the ·drama ·" Broken
                                        ·Orchard " ·by ·Hugo ·Costa :
        chosen, scored       26 tokens  ·To ·be ·fair , ·the ·script ·is ·not ·poor .
                                        ·In ·my ·opinion , ·the ·rhythm ·impresses .
                                        ·I ·would ·recommend ·it ·to ·anyone . <eos>
        rejected, scored     31 tokens  ·The ·characters ·are ·dreadful ·and ·simply
                                        ·hopeless . ·It ·tells ·of ·an ·old ·teacher
                                        ·who ·leaves ·a ·house ·in ·the ·woods . ·I
                                        ·would ·not ·recommend ·it ·to ·you . <eos>

      dry run: nothing was trained, nothing written
      "
    `);
  });

  it('shows what the rows and the objective decide on', async () => {
    const argv = (...data: string[]) => [
      ...sftArgv(at('none3')).filter((word) => !['--data', at('texts.jsonl')].includes(word)),
      '--data',
      ...data,
      '--dry-run',
    ];
    const shown = (out: string) =>
      out
        .match(/^ {2}#? ?(format|truncation|score): .*$/gm)
        ?.map((line) => line.replace(/ +# (?=\S+ \S|--)(?!format|score)/, ' # '));
    expect(shown((await kelpie(argv(at('texts.jsonl')))).out)).toEqual([
      '  format: text # found by the columns',
      '  truncation: end # for text; not asked for: a prompt without room is a bad row',
      '  score: all # whether rows have a prompt',
    ]);
    writeFileSync(at('answers.jsonl'), JSON.stringify({ prompt: 'a', completion: ' b' }));
    const both = await kelpie([
      ...argv(at('texts.jsonl'), at('answers.jsonl')),
      '--truncation',
      'drop',
      '--max-steps',
      '1',
    ]);
    expect(shown(both.out)).toEqual([
      '  # format: text, prompt-completion # found by the columns',
      '  truncation: drop # --truncation',
      '  # score: all, completion # whether rows have a prompt',
    ]);
    expect(both.out).toMatch(/^run +1 step, 6 a pass over 2\d rows; \d held out$/m);
  });

  it('says where a resumed run would go on, if it can', async () => {
    const argv = [...dpoArgv(at('half')), '--max-steps', '3', '--save-every', '1'];
    const stop = { onText: (text: string, interrupt: () => void) => text.startsWith('step 1/3') && interrupt() };
    expect((await kelpie(argv, stop)).code).toBe(130);
    const again = await kelpie([...argv, '--resume', '--dry-run']);
    expect(again.out).toMatch(/^resume +from the checkpoint of step 1$/m);
    expect(await kelpie([...argv, '--resume', '--dry-run', '--beta', '0.3'])).toMatchObject({
      code: 2,
      err: expect.stringContaining('`objectiveOptions.beta`: 0.1 in the checkpoint, 0.3 now'),
    });
    const absent = await kelpie([...dpoArgv(at('none4')), '--resume', '--dry-run', '--warmup-steps', '9']);
    expect(absent.err).toContain('warning: the warm-up takes 9 steps and the run has 4: ');
    expect(absent.err).toContain('warning: no checkpoint in ROOT/none4: beginning\n');
  });

  it('trains as the same flags do', async () => {
    expect(await kelpie(['train', '--config', run(), '--max-steps', '2'])).toMatchObject({ code: 0 });
    const flags = ['--learning-rate', '1e-4', '--beta', '0.5', '--max-steps', '2'];
    expect(await kelpie([...dpoArgv(at('flagged')), ...flags])).toMatchObject({ code: 0 });
    expect(weights(at('configured')).equals(weights(at('flagged')))).toBe(true);
  });

  it('lists what is wrong with place and nearest key', async () => {
    const text = `extends: run.yaml\nobjective:\n  bta: 1\ntraining:\n  beta: 2\n`;
    const { code, err } = await kelpie(['train', 'dpo', '-c', config('typo.yaml', text), '--set', 'model.pth=a']);
    expect(code).toBe(2);
    expect(err).toMatchInlineSnapshot(`
      "error: ROOT/typo.yaml:3:3: \`objective.bta\`: unknown key; nearest: \`objective.beta\`, \`objective.nllWeight\`
      ROOT/typo.yaml:5:3: \`training.beta\`: unknown key; nearest: \`objective.beta\`
      --set model.pth=a: \`model.pth\`: unknown key; nearest: \`model.path\`, \`model.init\`
      "
    `);
  });

  it('warns of unusual values', async () => {
    const argv = [
      'train',
      '--config',
      run(),
      '--dry-run',
      '--out',
      at('unusual'),
      '--beta',
      '20',
      '--learning-rate',
      '0.1',
    ];
    expect((await kelpie(argv)).err).toMatchInlineSnapshot(`
      "warning: the learning rate 0.1 is outside what is usual for a model of this size, 1e-8 to 0.001: the model may fall apart
      warning: beta 20 is outside what is usual for dpo, 0.01 to 1: the policy may hardly leave the reference
      "
    `);
  });

  it('warns of more threads than cores', async () => {
    const cores = availableParallelism();
    const argv = ['train', '--config', run(), '--dry-run', '--out', at('threads'), '--threads'];
    expect((await kelpie([...argv, String(cores + 1)])).err).toMatch(
      new RegExp(`^warning: ${cores + 1} threads on .* are slower than ${cores}\n`),
    );
    expect((await kelpie([...argv, String(cores)])).err).toBe('');
  });

  it('takes one flag over the other of a file', async () => {
    const argv = ['train', '--config', run(), '--dry-run', '--out', at('either')];
    const { code, err } = await kelpie([...argv, '--heldout-fraction', '0.25']);
    expect(code, err).toBe(0);
    const both = ['--heldout', at('heldout.jsonl'), '--heldout-fraction', '0.25'];
    expect((await kelpie([...argv, ...both])).err).toMatchInlineSnapshot(`
      "error: --heldout-fraction: not together with --heldout: give one of the two
      "
    `);
  });
});
