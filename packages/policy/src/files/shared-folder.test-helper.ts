import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../../../', import.meta.url));
const folder = resolve(root, process.env.KELPIE_SHARED ?? '../shared');

/** Models, tokenizers and adapters that are read in place and never copied; undefined where they are absent. */
export const shared: string | undefined = existsSync(folder) ? folder : undefined;
