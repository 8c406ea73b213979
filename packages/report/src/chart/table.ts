import { bins } from '../stats.js';
import { escaped, numberText } from '../text.js';
import { type Figure, isDrawn, type Point, type Table } from './figure.js';

/** Rows that a table shows at most; of more, evenly chosen ones. */
const ROWS = 200;

/** The numbers of a figure, by x; of a band its edges too. */
export function tableOf({ table, panels, x }: Figure): Table {
  if (table !== undefined) return table;
  const several = panels.length > 1;
  const columns = panels.flatMap(({ label, series }) =>
    series.map(({ name, points }) => ({
      name: several && name !== label ? `${label}: ${name}` : name,
      at: new Map(points.filter(isDrawn).map((point) => [point.x, point])),
    })),
  );
  const places = [...new Set(columns.flatMap(({ at }) => [...at.keys()]))].sort((a, b) => a - b);
  const rows = places.map((place) => [numberText(place), ...columns.map(({ at }) => cellOf(at.get(place)))]);
  return { columns: [x.label, ...columns.map(({ name }) => name)], rows };
}

function cellOf(point: Point | undefined): string {
  if (point === undefined) return '';
  const { y, low, high } = point;
  return low === undefined || high === undefined
    ? numberText(y)
    : `${numberText(y)} [${numberText(low)}, ${numberText(high)}]`;
}

export function tableHtml({ columns, rows }: Table): string {
  const shown = rows.length <= ROWS ? rows : [...bins(rows.slice(0, -1), ROWS - 1).map((bin) => bin[0]!), rows.at(-1)!];
  const head = columns.map((column) => `<th scope="col">${escaped(column)}</th>`).join('');
  const body = shown.map(
    ([first = '', ...cells]) =>
      `<tr><th scope="row">${escaped(first)}</th>${cells.map((cell) => `<td>${escaped(cell)}</td>`).join('')}</tr>`,
  );
  const thinned = shown.length < rows.length ? `<p class="note">${shown.length} of ${rows.length} rows</p>` : '';
  return `${thinned}<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>\n${body.join('\n')}\n</tbody></table></div>`;
}
