/**
 * Colours of figures. The categorical ones are those of Okabe and Ito 2008, made darker on light ground and lighter on dark
 * until each stands out from it; from early to late, a way through blue and orange whose lightness alone tells the order.
 */
const light = {
  ground: '#ffffff',
  ink: '#1c2128',
  muted: '#59636e',
  grid: '#e4e8ec',
  alarm: '#b3261e',
  s: ['#0072b2', '#d55e00', '#00835f', '#b04a8c', '#a87400', '#2a93d5', '#6b5b95', '#4d4d4d'],
  q: ['#7ab3d9', '#4a94cb', '#2171b5', '#0b4a8f', '#08204d'],
};

const dark: typeof light = {
  ground: '#14181d',
  ink: '#e8ecf1',
  muted: '#9aa5b1',
  grid: '#2b323a',
  alarm: '#ff8a80',
  s: ['#56b4e9', '#f0883e', '#2fc79b', '#e39bc6', '#e6b422', '#7fa8ff', '#b8a6e8', '#c8c8c8'],
  q: ['#40709e', '#4f93c8', '#7fbbe6', '#b6dbf6', '#f3faff'],
};

function variables({ ground, ink, muted, grid, alarm, s, q }: typeof light): string {
  const named = { ground, ink, muted, grid, alarm };
  const lists = [...s.map((color, i) => `--s${i}:${color}`), ...q.map((color, i) => `--q${i}:${color}`)];
  return [...Object.entries(named).map(([name, color]) => `--${name}:${color}`), ...lists].join(';');
}

export type Theme = 'light' | 'dark' | 'auto';

/** Sets the colours as variables on what `selector` names: of the reader's scheme, or of one. */
export function themeStyle(selector: string, theme: Theme = 'auto'): string {
  if (theme !== 'auto') return `${selector}{color-scheme:${theme};${variables(theme === 'dark' ? dark : light)}}`;
  return (
    `${selector}{color-scheme:light dark;${variables(light)}}` +
    `@media (prefers-color-scheme:dark){${selector}{${variables(dark)}}}`
  );
}

const colors = [...light.s.map((_, i) => `s${i}`), ...light.q.map((_, i) => `q${i}`)];

/** Rules of what is drawn. */
export const chartStyle = [
  '.chart{font:11px system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;fill:var(--ink)}',
  '.chart .label{font-size:12px;font-weight:600}',
  '.chart .tick,.chart .axis{fill:var(--muted)}',
  '.chart .grid{stroke:var(--grid);stroke-width:1}',
  '.chart .zero{stroke:var(--muted);stroke-width:1}',
  '.chart .line{fill:none;stroke:var(--c);stroke-width:1.8;stroke-linejoin:round;stroke-linecap:round}',
  '.chart .dashed{stroke-dasharray:5 3}',
  '.chart .faint{opacity:.38;stroke-width:1}',
  '.chart .band{fill:var(--c);opacity:.18}',
  '.chart .dot{fill:var(--c);stroke:var(--ground);stroke-width:.8}',
  '.chart .bar{stroke:var(--c);stroke-width:1.2}',
  '.chart .mark{fill:var(--alarm);opacity:.13}',
  '.chart .mark-line{stroke:var(--alarm);stroke-width:1.2}',
  '.chart .mark-text{fill:var(--alarm);font-weight:600}',
  '.chart .cursor{stroke:var(--muted);stroke-width:1;visibility:hidden}',
  ...colors.map((name) => `.chart .${name}{--c:var(--${name})}`),
].join('\n');
