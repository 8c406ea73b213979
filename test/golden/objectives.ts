import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { GoldenFile } from './formulas/case.js';
import { compareCase } from './formulas/compare.js';
import { variantsOf } from './formulas/index.js';

const usage = `usage: npm run golden -- DIR [--all]

Computes every case of the golden files in DIR in float64 and compares values and gradients with what the files say:
|a - b| <= 1e-12 + 1e-9 |b|. With --all every case has a line of its own; else only those that fail.`;

const args = process.argv.slice(2);
const all = args.includes('--all');
const [given, ...more] = args.filter((arg) => arg !== '--all');
const folder = given === undefined ? undefined : resolve(process.env.INIT_CWD ?? process.cwd(), given);
if (folder === undefined || more.length > 0 || !statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
  console.error(`${folder === undefined ? 'expected a folder' : `\`${folder}\` is no folder`}\n\n${usage}`);
  process.exit(2);
}

let [passed, failed] = [0, 0];
for (const name of readdirSync(folder).sort()) {
  if (!name.endsWith('.json')) continue;
  await checkFile(name, join(folder, name));
}
if (passed + failed === 0) console.log(`no golden file in ${folder}`);
console.log(`${passed} passed, ${failed} failed`);
if (failed > 0 || passed === 0) process.exitCode = 1;

async function checkFile(name: string, path: string): Promise<void> {
  const messageOf = (error: unknown) => (error instanceof Error ? error.message : String(error));
  let file: GoldenFile;
  try {
    file = JSON.parse(readFileSync(path, 'utf8')) as GoldenFile;
    if (!Array.isArray(file?.cases)) return;
  } catch (error) {
    failed++;
    console.log(`FAIL ${name}  ${messageOf(error)}`);
    return;
  }
  let right = 0;
  let worst = { what: 'nothing', ratio: 0 };
  for (const golden of file.cases) {
    try {
      const comparison = compareCase(file, golden, await variantsOf(file.objective));
      if (comparison.compared === 0) throw new Error('nothing to compare');
      if (comparison.ratio > 1) throw new Error(comparison.what);
      if (comparison.ratio > worst.ratio) worst = { what: `${golden.id} ${comparison.what}`, ratio: comparison.ratio };
      right++;
      if (all) console.log(`ok   ${golden.id}`);
    } catch (error) {
      failed++;
      console.log(`FAIL ${golden.id}  ${messageOf(error)}`);
    }
  }
  passed += right;
  const told =
    worst.ratio === 0 ? 'all equal' : `worst ${worst.ratio.toPrecision(2)} of the tolerance, at ${worst.what}`;
  console.log(`${name}: ${right} of ${file.cases.length}, ${told}`);
}
