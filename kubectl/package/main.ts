// `npm run package:kubectl [-- --output FOLDER --url URL --platform OS-ARCH]`: the files of a release of the plugin.
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { makePackages } from './make.ts';
import { platformName, platforms } from './platforms.ts';

const caches = fileURLToPath(new URL('../../node_modules/.cache/', import.meta.url));

const { values } = parseArgs({
  options: {
    output: { type: 'string', default: join(caches, 'kubectl-luvm') },
    url: { type: 'string', default: 'https://example.com/kubectl-luvm' },
    platform: { type: 'string', multiple: true, default: platforms.map(platformName) },
  },
});
const wanted = platforms.filter((each) => values.platform.includes(platformName(each)));
const unknown = values.platform.filter((name) => !wanted.some((each) => platformName(each) === name));
if (unknown.length > 0) throw new Error(`no such platform: ${unknown.join(', ')}`);

const folder = resolve(values.output);
const names = await makePackages({ folder, cache: join(caches, 'node-packages'), platforms: wanted, url: values.url });
process.stdout.write(names.map((name) => `${join(folder, name)}\n`).join(''));
