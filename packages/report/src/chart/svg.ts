import { drawFigure } from './draw.js';
import type { Figure } from './figure.js';
import { chartStyle, type Theme, themeStyle } from './style.js';

/**
 * A figure as a file of its own, its notes beneath. `auto` follows the reader's scheme where the viewer tells it; `scale` is pixels a unit, of
 * which a figure is 400 wide, or 620.
 */
export function figureSvg(
  figure: Figure,
  { theme = 'auto', scale = 1.5 }: { theme?: Theme; scale?: number } = {},
): string {
  const { svg, width, height } = drawFigure(figure, { notes: true });
  const [open, ...rest] = svg.split('\n');
  const sized = open!.replace('<svg ', `<svg width="${width * scale}" height="${Math.round(height * scale)}" `);
  const style = `<style>${themeStyle('.chart', theme)}${chartStyle}</style>`;
  return [sized, style, '<rect width="100%" height="100%" style="fill:var(--ground)"/>', ...rest, ''].join('\n');
}
