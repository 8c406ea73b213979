export type { Color, Figure, Mark, Panel, Point, ScaleKind, Series, Table } from './chart/figure.js';
export type { Theme } from './chart/style.js';
export { figureSvg } from './chart/svg.js';
export { ReportError } from './error.js';
export { figureHtml, pageHtml, writePage } from './page.js';
export { type Line, type Run, readRun } from './read/run.js';
export { type RunFigures, runFigures } from './run-figures.js';
export { type PageOptions, runPage } from './run-page.js';
