import type { Shown } from './read/rollouts.js';
import type { Run } from './read/run.js';
import { escaped, numberText } from './text.js';

/** Characters of a text that are shown at most. */
const SHOWN = 4000;

/** The same prompts before and after, and the completions that got most and least. */
export function completionsHtml({ verdict, rollouts }: Run): string {
  const samples = Array.isArray(verdict?.samples) ? verdict.samples : [];
  const pairs = samples.map(({ prompt, before, after }) =>
    card(prompt, [
      { side: 'before', text: before },
      { side: 'after', text: after },
    ]),
  );
  const sections: [string, readonly string[]][] = [['Samples before and after', pairs]];
  if (rollouts !== undefined) {
    const { first, last, best, worst } = rollouts;
    const [from, to] = [first[0]!.step, last[0]!.step];
    if (pairs.length === 0) {
      sections.push([`Completions of step ${from}`, first.map(rolloutCard)]);
      if (to > from) sections.push([`Completions of step ${to}`, last.map(rolloutCard)]);
    }
    sections.push(['Highest rewards', best.map(rolloutCard)], ['Lowest rewards', worst.map(rolloutCard)]);
  }
  return sections
    .filter(([, cards]) => cards.length > 0)
    .map(([title, cards]) => `<h2>${title}</h2><div class="completions">${cards.join('\n')}</div>`)
    .join('\n');
}

function rolloutCard({ prompt, completion, step, reward, rewards, watched }: Shown): string {
  const said = (table: Readonly<Record<string, number>>, ending = '') =>
    Object.entries(table).map(([name, value]) => `${name}${ending} ${numberText(value)}`);
  const all = [`step ${step}`, `reward ${numberText(reward)}`, ...said(rewards), ...said(watched, ' (watched)')];
  return card(prompt, [{ text: completion }], all.join(' · '));
}

function card(prompt: string, texts: readonly { readonly side?: string; readonly text: string }[], below = ''): string {
  const shown = texts.map(({ side, text }) => `${side ? `<p class="side">${side}</p>` : ''}<p>${shortened(text)}</p>`);
  const rewards = below === '' ? '' : `<div class="rewards">${escaped(below)}</div>`;
  return `<div class="completion"><p class="prompt">${shortened(prompt) || '(from the beginning)'}</p>${shown.join('')}${rewards}</div>`;
}

function shortened(text: string): string {
  const trimmed = text.trim();
  const more = trimmed.length - SHOWN;
  return more <= 0
    ? escaped(trimmed)
    : `${escaped(trimmed.slice(0, SHOWN))} … <em>${more.toLocaleString('en-US')} more characters</em>`;
}
