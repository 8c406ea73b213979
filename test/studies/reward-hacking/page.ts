import { figureHtml, pageHtml } from '@kelpie/report';
import { arms } from './arms.js';
import { figuresOf, groupName } from './figures.js';
import { armsOf, type Group } from './summary.js';

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

/** All figures with their numbers, the report as it stands in the docs, and what the policies write. */
export function pageOf(groups: readonly Group[], report: string): string {
  const title = 'Reward hacking on a transformer';
  const body = [
    `<header><h1>${title}</h1></header>`,
    `<h2>Figures</h2><div class="figures">${figuresOf(groups).map(figureHtml).join('\n')}</div>`,
    '<h2>Completions of the first seed, before and after</h2>',
    ...armsOf(groups).map((arm) => samplesHtml(groups, arm)),
    `<h2>Tables</h2><details><summary>As Markdown</summary><pre>${escaped(report)}</pre></details>`,
  ];
  return pageHtml({ title, body: body.join('\n') });
}

function samplesHtml(groups: readonly Group[], arm: Group['arm']): string {
  const rows = groups
    .filter((group) => group.arm === arm)
    .flatMap((group) => {
      const [sample] = group.runs[0]!.samples;
      if (sample === undefined) return [];
      const cells = [sample.prompt, sample.before, sample.after].map((text) => `<td>${escaped(text)}</td>`);
      return [`<tr><th scope="row">${escaped(groupName(group))}</th>${cells.join('')}</tr>`];
    });
  const head = ['penalty', 'prompt', 'before', 'after'].map((name) => `<th scope="col">${name}</th>`).join('');
  return `<details><summary>${escaped(arms[arm].title)}</summary><div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>${rows.join('\n')}</tbody></table></div></details>`;
}
