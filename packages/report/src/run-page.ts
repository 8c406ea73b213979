import { completionsHtml } from './completions.js';
import { gamedSpans } from './gaming.js';
import { figureHtml, pageHtml } from './page.js';
import { type Run, readRun } from './read/run.js';
import { runFigures } from './run-figures.js';
import { durationText, escaped, many, numberText } from './text.js';
import { verdictHtml } from './verdict.js';

export interface PageOptions {
  /** What the folder does not tell, by its name: paths of model and data, the command. */
  readonly facts?: Readonly<Record<string, string>>;
}

/** The page of one run, online or offline, finished or not. Throws `ReportError` with file and line for what is no run. */
export async function runPage(folder: string, options: PageOptions = {}): Promise<string> {
  const run = await readRun(folder);
  const { main, further } = runFigures(run);
  const title = [...new Set([objectiveOf(run), run.name])].filter(Boolean).join(' · ');
  const body = [
    `<header><h1>${escaped(title)}</h1>`,
    ...run.notes.map((note) => `<p class="note">${escaped(note)}</p>`),
    ...alarms(run),
    factsHtml({ ...options.facts, ...factsOf(run) }),
    '</header>',
    verdictHtml(run),
    `<h2>Figures</h2><div class="figures">${main.map(figureHtml).join('\n')}</div>`,
    further.length > 0 ? furtherHtml(further.map(figureHtml)) : '',
    completionsHtml(run),
    optionsHtml(run),
  ];
  return pageHtml({ title, body: body.filter((part) => part !== '').join('\n') });
}

function furtherHtml(figures: readonly string[]): string {
  return `<details><summary>${many(figures.length, 'further metric')}</summary><div class="figures">${figures.join('\n')}</div></details>`;
}

function objectiveOf({ config }: Run): string {
  return typeof config?.objective === 'string' ? config.objective : '';
}

/** Where the run warned that its reward may be gamed. */
function alarms({ metrics }: Run): string[] {
  const names = new Map<string, string[]>();
  for (const { watched, from, to } of gamedSpans(metrics)) {
    const when = from === to ? `${from}` : `${from} to ${to}`;
    names.set(watched, [...(names.get(watched) ?? []), when]);
  }
  return [...names].map(
    ([name, spans]) =>
      `<p class="alarm"><strong>⚠ The reward rose while the watched ${escaped(name)} fell</strong>, at steps ${spans.join(', ')}: the policy may be gaming what it is trained on.</p>`,
  );
}

function factsOf({ metrics, timing, finished, early, model, versions, config, rollouts }: Run): Record<string, string> {
  const done = metrics.reduce((most, { step }) => Math.max(most, step), 0);
  const seconds = timing.reduce((sum, { values }) => sum + (values.seconds ?? 0) + (values.eval_seconds ?? 0), 0);
  const options = config?.options as Record<string, unknown> | undefined;
  const planned = Number(options?.steps ?? Number.NaN);
  const end = early === undefined ? '' : `, ended by its budget of ${early}`;
  return {
    ...(model && { model: modelText(model, config?.model) }),
    steps: `${done.toLocaleString('en-US')}${planned > done ? ` of ${planned.toLocaleString('en-US')}` : ''}${finished ? end : ', not finished'}`,
    ...(timing.length > 0 && { time: durationText(seconds) }),
    ...(Array.isArray(config?.rewards) && { rewards: config.rewards.map(rewardText).join(' + ') }),
    ...(Array.isArray(config?.watched) && config.watched.length > 0 && { watched: config.watched.join(', ') }),
    ...(typeof options?.penalty === 'string' && { penalty: penaltyText(options) }),
    ...(rollouts && { completions: rollouts.count.toLocaleString('en-US') }),
    ...(options?.seed !== undefined && { seed: String(options.seed) }),
    ...(versions && {
      versions: Object.entries(versions)
        .map(([name, version]) => `${name} ${version}`)
        .join(', '),
    }),
  };
}

function modelText(
  { modelType, parameters, trainedParameters }: Readonly<Record<string, unknown>>,
  hash: unknown,
): string {
  const start = typeof hash === 'string' ? `; started from ${hash.slice(0, 12)}` : '';
  const trained =
    trainedParameters === parameters ? '' : `, ${Number(trainedParameters).toLocaleString('en-US')} trained`;
  return `${modelType}, ${Number(parameters).toLocaleString('en-US')} parameters${trained}${start}`;
}

function rewardText(reward: unknown): string {
  const {
    name,
    weight = 1,
    madeOf = {},
  } = reward as { name: string; weight?: number; madeOf?: Record<string, unknown> };
  const options = Object.entries(madeOf).map(
    ([key, value]) => `${key} ${typeof value === 'string' ? value : JSON.stringify(value)}`,
  );
  return `${weight === 1 ? '' : `${numberText(weight)} · `}${name}${options.length > 0 ? ` (${options.join(', ')})` : ''}`;
}

function penaltyText({
  penalty,
  penaltyIn,
  penaltyCoef,
  klEstimator,
  controller,
}: Readonly<Record<string, unknown>>): string {
  if (penalty === 'none') return 'none';
  const estimator = penalty === 'kl' ? ` by ${klEstimator}` : '';
  return `${penalty}${estimator} in the ${penaltyIn}, weight ${penaltyCoef}${controller === 'fixed' ? '' : `, ${controller}`}`;
}

function factsHtml(facts: Readonly<Record<string, string>>): string {
  return `<dl>${Object.entries(facts)
    .map(([name, value]) => `<dt>${escaped(name)}</dt><dd>${escaped(value)}</dd>`)
    .join('')}</dl>`;
}

/** All that decided on the result. */
function optionsHtml({ config }: Run): string {
  if (config === undefined) return '';
  return `<h2>Options</h2><details><summary>All that decides on the result</summary><pre>${escaped(JSON.stringify(config, null, 2))}</pre></details>`;
}
