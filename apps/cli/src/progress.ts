import type { EventOf, Logger, RunEvent } from '@kelpie/runner';
import { duration, figure, grouped, many, percent, signed, type Terminal, wrap } from './print.js';

/** What is shown of a step or an evaluation where the objective measures it, and how. */
const shown: readonly { readonly key: string; readonly label: string; readonly text: (value: number) => string }[] = [
  { key: 'rewards/margins', label: 'margin', text: (value) => signed(value) },
  { key: 'rewards/accuracies', label: 'accuracy', text: (value) => percent(value) },
  { key: 'reward', label: 'reward', text: (value) => figure(value) },
];

/** Tells a run to people: a bar that moves on a terminal, else a line every so often; evaluations as lines on either. */
export class Progress implements Logger {
  readonly name = 'progress';
  readonly #terminal: Terminal;
  readonly #divergence: boolean;
  #steps = 0;
  #first = 0;
  /** Seconds of a step lately: the first ones all count, later ones fade. */
  #pace = 0;
  #mark = 0;

  /** @param divergence whether the start is worth being compared with: random weights are not. */
  constructor(terminal: Terminal, { divergence }: { readonly divergence: boolean }) {
    this.#terminal = terminal;
    this.#divergence = divergence;
  }

  log(event: RunEvent): void {
    const { noteColor } = this.#terminal;
    switch (event.type) {
      case 'start':
        this.#steps = event.steps;
        this.#first = event.step;
        if (event.resumed)
          this.#terminal.print(labelled(this.#terminal, 'resume', `from the checkpoint of step ${event.step}`));
        this.#terminal.print(
          labelled(
            this.#terminal,
            'run',
            `${many(event.steps, 'step')}, ${event.stepsPerEpoch} a pass over ${many(event.examples, 'row')}; ${grouped(event.heldout)} held out`,
          ),
        );
        break;
      case 'reference-progress':
        this.#reference(event);
        break;
      case 'self-check':
        this.#terminal.status('');
        this.#terminal.print(labelled(this.#terminal, 'check', event.text.replace(/^self-check /, '')));
        this.#busy('measuring the start');
        break;
      case 'step':
        this.#step(event);
        break;
      case 'evaluation':
        this.#terminal.status('');
        this.#terminal.print(
          labelled(this.#terminal, 'held out', `${at(event.step)}  ${evaluated(event, this.#divergence)}`),
        );
        if (event.step === 0) this.#busy('completing prompts');
        if (event.step === this.#steps) this.#busy('completing prompts, writing the model');
        break;
      case 'checkpoint':
        this.#terminal.note(noteColor.dim(`checkpoint ${event.folder}`));
        break;
      case 'warning':
        this.#terminal.note(`${noteColor.yellow('warning:')} ${event.message}`);
        break;
      case 'end':
        this.#terminal.status('');
        break;
    }
  }

  #reference({ of, mismatched, done, total, cached }: EventOf<'reference-progress'>): void {
    if (total === 0) return;
    const kind = `${of === 'train' ? '' : 'held-out '}${mismatched ? 'mismatched ' : ''}rows`;
    const rows = `${grouped(total)} ${kind}`;
    if (done < total) {
      this.#busy(`scoring ${rows} by the reference, ${percent(done / total)}`);
      return;
    }
    this.#terminal.status('');
    this.#terminal.print(labelled(this.#terminal, 'reference', `${rows} scored${cached ? ' by an earlier run' : ''}`));
  }

  /** What a live line says between the steps. */
  #busy(what: string): void {
    this.#terminal.status(this.#terminal.noteColor.dim(`${what} ...`));
  }

  #step(event: EventOf<'step'>): void {
    const { step, loss, metrics, timing } = event;
    this.#pace += (timing.seconds - this.#pace) * Math.max(0.05, 1 / (step - this.#first));
    const left = this.#pace * (this.#steps - step);
    const facts = [
      `loss ${figure(loss)}`,
      ...shown.flatMap(({ key, label, text }) =>
        metrics[key] === undefined ? [] : [`${label} ${text(metrics[key])}`],
      ),
      `${grouped(timing.tokensPerSecond)} tokens/s`,
      `${duration(left)} left`,
    ];
    const head = `step ${String(step).padStart(String(this.#steps).length)}/${this.#steps}`;
    if (this.#terminal.live) this.#terminal.status(this.#bar(step / this.#steps, head, facts));
    else if (this.#due(step)) this.#terminal.note(`${head}  ${facts.join('  ')}`);
  }

  /** Twenty lines a run, and the first. */
  #due(step: number): boolean {
    const mark = Math.floor((20 * step) / this.#steps);
    const due = mark > this.#mark || step === this.#first + 1;
    this.#mark = mark;
    return due;
  }

  /** As many facts as the terminal is wide; the bar takes what is left. */
  #bar(share: number, head: string, facts: readonly string[]): string {
    const { noteColor, liveWidth } = this.#terminal;
    // Two columns stay free for the ^C that a terminal echoes.
    const room = liveWidth - 3;
    let text = head;
    for (const fact of facts) if (text.length + 2 + fact.length + 12 <= room) text += `  ${fact}`;
    const width = Math.min(24, room - text.length - 2);
    if (width < 4) return text.slice(0, room);
    const full = Math.round(width * share);
    return `${noteColor.cyan('━'.repeat(full))}${noteColor.dim('─'.repeat(width - full))}  ${text}`;
  }
}

/** Lines with their kind in front, in a column of its own. */
export function labelled({ color, width }: Terminal, label: string, text: string): string {
  const indent = ' '.repeat(labelWidth);
  const lines = text.split('\n').map((line) => wrap(line, width - labelWidth, `${indent}  `));
  return `${color.dim(label.padEnd(labelWidth))}${lines.join(`\n${indent}`)}`;
}

const labelWidth = 11;

const at = (step: number) => (step === 0 ? 'before training:' : `at step ${step}:`);

/** Before training policy and reference are one: only the loss says something. */
function evaluated({ step, metrics }: EventOf<'evaluation'>, divergence: boolean): string {
  const compared = step === 0 ? shown.filter(({ key }) => key === 'reward') : shown;
  const kl = divergence && step > 0 ? metrics['divergence/kl_exact'] : undefined;
  const facts = [
    metrics.eval_loss === undefined ? [] : [`loss ${figure(metrics.eval_loss)}`],
    ...compared.map(({ key, label, text }) => {
      const value = metrics[`eval_${key}`];
      return value === undefined ? [] : [`${label} ${text(value)}`];
    }),
    kl === undefined ? [] : [`KL ${figure(kl)}`],
  ];
  return facts.flat().join('  ');
}
