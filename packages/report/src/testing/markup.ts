/** Throws where tags do not close in order, as XML wants it; void elements of HTML are let be. */
export function requireBalanced(markup: string): void {
  const open: string[] = [];
  const bare = markup.replace(/<!doctype[^>]*>/i, '').replace(/<(style|script)>[\s\S]*?<\/\1>/g, '');
  for (const [whole, closing, name, , self] of bare.matchAll(/<(\/?)([a-zA-Z][\w-]*)((?:[^>"]|"[^"]*")*?)(\/?)>/g)) {
    if (self === '/' || name === 'meta') continue;
    if (closing === '') open.push(name!);
    else if (open.pop() !== name) throw new Error(`${whole} closes what is not open`);
  }
  if (open.length > 0) throw new Error(`not closed: ${open.join(', ')}`);
}

/** The part of a page that is one figure. */
export function figureIn(html: string, name: string): string {
  const from = html.indexOf(`id="${name}"><figcaption>`);
  if (from < 0) throw new Error(`no figure ${name}`);
  return html.slice(from, html.indexOf('</figure>', from));
}

/** Rows of the first table, cells as texts. */
export function cellsIn(markup: string): string[][] {
  const table = markup.slice(markup.indexOf('<table'), markup.indexOf('</table>'));
  return table
    .split('<tr>')
    .slice(1)
    .map((row) => [...row.matchAll(/<t[hd][^>]*>(.*?)<\/t[hd]>/g)].map(([, cell]) => cell!));
}

export interface Tick {
  readonly text: string;
  readonly at: number;
}

/** Ticks of the first y axis of a figure's SVG. */
export function yTicks(markup: string): Tick[] {
  const matches = markup.matchAll(/<text class="tick" x="[^"]*" y="([^"]*)" text-anchor="end">([^<]*)</g);
  const all = [...matches].map(([, at, text]) => ({ text: text!, at: Number(at) - 4 }));
  const next = all.findIndex(({ at }, index) => index > 0 && at > all[index - 1]!.at);
  return next < 0 ? all : all.slice(0, next);
}

/** Places of the first path of a class. */
export function placesIn(markup: string, className: string): [number, number][] {
  const path = new RegExp(`<path class="${className}" d="([^"]*)"`).exec(markup)?.[1];
  if (path === undefined) throw new Error(`no path ${className}`);
  return [...path.matchAll(/[ML]([\d.-]+),([\d.-]+)/g)].map(([, x, y]) => [Number(x), Number(y)]);
}
