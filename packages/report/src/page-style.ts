import { chartStyle, themeStyle } from './chart/style.js';

/** Readable on a phone; figures stand side by side where there is room. */
export const pageStyle = `${themeStyle(':root')}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:1320px;margin:0 auto;padding:20px 16px 48px}
h1{font-size:1.5rem;line-height:1.25;margin:0 0 4px;overflow-wrap:anywhere}
h2{font-size:1.15rem;margin:32px 0 10px}
p{margin:6px 0}
.note,.lead{color:var(--muted)}
.note{font-size:13px}
.alarm{border-left:4px solid var(--alarm);padding:4px 12px;margin:10px 0}
.alarm strong{color:var(--alarm)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:2px 16px;margin:12px 0}
dt{color:var(--muted)}
dd{margin:0;overflow-wrap:anywhere}
.figures{display:grid;grid-template-columns:repeat(6,1fr);gap:16px;grid-auto-flow:dense}
figure{margin:0;grid-column:span 2;min-width:0;border:1px solid var(--grid);border-radius:8px;padding:12px;position:relative}
figure.wide{grid-column:span 3}
figcaption{font-weight:600;margin-bottom:6px;overflow-wrap:anywhere}
@media (max-width:1080px){figure,figure.wide{grid-column:span 3}}
@media (max-width:720px){figure,figure.wide{grid-column:span 6}figure{padding:10px 6px}}
.chart{display:block;width:100%;height:auto}
figure.wide .chart:not(.chart-wide){display:none}
@media (max-width:520px){figure.wide .chart-wide{display:none}figure.wide .chart:not(.chart-wide){display:block}}
details{margin-top:8px}
summary{cursor:pointer;color:var(--muted);font-size:13px}
.scroll{overflow:auto;max-height:360px}
table.verdict{max-width:100%}
table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums}
th,td{padding:3px 12px 3px 0;text-align:right;vertical-align:top;border-bottom:1px solid var(--grid)}
th:first-child{text-align:left}
td{white-space:nowrap}
.scroll thead th{position:sticky;top:0;background:var(--ground)}
thead th{font-weight:600;vertical-align:bottom}
tbody th{font-weight:400}
.completions{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,380px),1fr));gap:16px}
.completion{border:1px solid var(--grid);border-radius:8px;padding:10px 12px;min-width:0}
.completion p{white-space:pre-wrap;overflow-wrap:anywhere;margin:4px 0;max-height:18em;overflow:auto}
.completion .prompt{color:var(--muted)}
.completion .side{font-size:13px;font-weight:600;margin:8px 0 0}
.rewards{font-size:13px;color:var(--muted)}
pre{overflow:auto;font-size:12.5px;line-height:1.45;max-height:420px}
.tip{position:absolute;pointer-events:none;background:var(--ground);color:var(--ink);border:1px solid var(--muted);border-radius:6px;padding:4px 8px;font-size:12px;line-height:1.4;max-width:80%;z-index:2}
@media print{details.numbers{display:none}figure{break-inside:avoid}}
${chartStyle}`;
