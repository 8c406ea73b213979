import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const resolveFrom = createRequire(join(repository, 'packages/objectives/package.json'));
const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';

/** What npm would publish of a package in `folder`. */
export interface Packed {
  readonly tarball: string;
  readonly files: readonly string[];
}

/** An empty project that has installed the packed package and the packed zod it asks for, without any network. */
export class Project {
  readonly root = mkdtempSync(join(tmpdir(), 'kelpie-packed-'));
  readonly packed: Packed;

  constructor() {
    this.packed = this.#pack(join(repository, 'packages/objectives'));
    const zod = this.#pack(dirname(resolveFrom.resolve('zod/package.json')));
    this.write('app/package.json', JSON.stringify({ name: 'empty', private: true, type: 'module' }));
    const quiet = ['--offline', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
    this.run(npm, ['install', ...quiet, this.packed.tarball, zod.tarball]);
  }

  /** A path in the project. */
  at(...path: string[]): string {
    return join(this.root, 'app', ...path);
  }

  write(path: string, text: string): string {
    const file = join(this.root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    return file;
  }

  /** Runs a command in the project; what it prints. */
  run(command: string, args: readonly string[]): string {
    return execFileSync(command, args, { cwd: this.at(), encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  }

  remove(): void {
    rmSync(this.root, { recursive: true, force: true });
  }

  #pack(folder: string): Packed {
    const args = ['pack', folder, '--json', '--ignore-scripts', '--loglevel=error', '--pack-destination', this.root];
    const told: unknown = JSON.parse(execFileSync(npm, args, { cwd: this.root, encoding: 'utf8' }));
    // A list up to npm 11, an object by name in later ones.
    const [{ filename, files }] = Object.values(told as object) as [{ filename: string; files: { path: string }[] }];
    return { tarball: join(this.root, filename), files: files.map(({ path }) => path) };
  }
}
