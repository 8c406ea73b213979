import { escaped } from '../text.js';
import type { Panel, Series } from './figure.js';

const SWATCH = 20;
const GAP = 14;
const ROW = 15;
/** About, at 11 px: the font is the reader's. */
const CHARACTER = 6;

/** Names of a panel's series with how each is drawn, in as many rows as they need; nothing for one whose label says it. */
export function legendOf(
  panel: Panel,
  { left, width }: { readonly left: number; readonly width: number },
): { readonly svg: string; readonly height: number } {
  const told = panel.series.filter(({ legend }) => legend !== false);
  if (
    panel.legend === false ||
    told.length === 0 ||
    (told.length === 1 && told[0]!.name === panel.label && told[0]!.draw === 'line')
  )
    return { svg: '', height: 4 };
  let [x, row] = [left, 0];
  const items = told.map((series) => {
    const name = shortened(series.legend || series.name, width - SWATCH);
    const room = SWATCH + CHARACTER * name.length;
    if (x > left && x + room > left + width) [x, row] = [left, row + 1];
    const item = `<g transform="translate(${Math.round(x)} ${row * ROW})">${swatch(series)}<text x="${SWATCH}" y="10">${escaped(name)}</text></g>`;
    x += room + GAP;
    return item;
  });
  return { svg: items.join(''), height: (row + 1) * ROW + 5 };
}

function swatch({ draw, color, dashed = false, faint = false }: Series): string {
  const classes = `line ${color}${dashed ? ' dashed' : ''}${faint ? ' faint' : ''}`;
  const stroke = draw === 'dots' ? '' : `<path class="${classes}" d="M0 6.5H15"/>`;
  const dot = draw === 'line' ? '' : `<circle class="dot ${color}${faint ? ' faint' : ''}" cx="7.5" cy="6.5" r="3"/>`;
  return stroke + dot;
}

/** As much of a text as a width has room for. */
export function shortened(text: string, width: number): string {
  const most = Math.floor(width / CHARACTER);
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}

/** A text in lines that a width has room for, broken at spaces. */
export function wrapped(text: string, width: number): string[] {
  const most = Math.floor(width / CHARACTER);
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const line = lines.at(-1);
    if (line === undefined || line.length + 1 + word.length > most) lines.push(word);
    else lines[lines.length - 1] = `${line} ${word}`;
  }
  return lines;
}
