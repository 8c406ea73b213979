import type { Change, Verdict } from '@kelpie/runner';
import type { Run } from './read/run.js';
import { escaped, numberText, signedText } from './text.js';

type Measured = { readonly label: string; readonly change: Change | undefined };

function measured(verdict: Verdict): Measured[] {
  const { loss, accuracy, margin, calibration, reward, watched = {}, klExact, forwardKl, completionTokens } = verdict;
  return [
    { label: 'held-out reward', change: reward },
    ...Object.entries(watched).map(([name, change]) => ({ label: `held-out ${name} (watched)`, change })),
    { label: 'held-out loss', change: loss },
    { label: 'held-out accuracy', change: accuracy },
    { label: 'held-out margin', change: margin },
    { label: 'held-out calibration error', change: calibration },
    { label: 'KL(policy ‖ reference), nats a completion', change: klExact },
    { label: 'KL(reference ‖ policy), nats a completion', change: forwardKl },
    { label: 'length of a completion, tokens', change: completionTokens },
  ];
}

/** What the run has done: each measure before the first update and after the last. */
export function verdictHtml({ verdict, finished, metrics }: Run): string {
  const rows = verdict === undefined ? (finished ? [] : betweenEvaluations(metrics)) : measured(verdict);
  const lines = rows.flatMap(({ label, change }) => {
    if (typeof change?.before !== 'number' || typeof change.after !== 'number') return [];
    const cells = [numberText(change.before), numberText(change.after), signedText(change.after - change.before)];
    return [`<tr><th scope="row">${escaped(label)}</th>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`];
  });
  if (lines.length === 0) return '';
  const heads = ['', 'before', verdict === undefined ? 'so far' : 'after', 'change'];
  const head = heads.map((text) => `<th scope="col">${text}</th>`).join('');
  return `<h2>Before and after</h2><table class="verdict"><thead><tr>${head}</tr></thead><tbody>${lines.join('')}</tbody></table>`;
}

/** Of a run that is not finished: the first evaluation and the newest. */
function betweenEvaluations(metrics: Run['metrics']): Measured[] {
  const evaluations = metrics.filter(({ kind }) => kind === 'evaluation');
  const [first, last] = [evaluations[0], evaluations.at(-1)];
  if (first === undefined || last === undefined || first === last) return [];
  const change = (key: string): Change | undefined =>
    first.values[key] === undefined || last.values[key] === undefined
      ? undefined
      : { before: first.values[key], after: last.values[key] };
  const watched = Object.keys(last.values).flatMap((key) => {
    const name = /^eval_watched\/(.*)\/mean$/.exec(key)?.[1];
    return name === undefined ? [] : [{ label: `held-out ${name} (watched)`, change: change(key) }];
  });
  return [
    { label: 'held-out reward', change: change('eval_reward') },
    ...watched,
    { label: 'held-out loss', change: change('eval_loss') },
    { label: 'held-out accuracy', change: change('eval_rewards/accuracies') },
    { label: 'held-out margin', change: change('eval_rewards/margins') },
    { label: 'KL(policy ‖ reference), nats a completion', change: change('divergence/kl_exact') },
  ];
}
