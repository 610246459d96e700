// docs/simulator.md names everything that the socket of a simulated node accepts.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { simulatedHostFile } from '../../simulator/host-file.ts';
import { methods } from '../../simulator/wire/rpc.ts';
import { steps } from '../../simulator/wire/script.ts';

const page = await readFile(fileURLToPath(new URL('../../docs/simulator.md', import.meta.url)), 'utf8');
const names = Object.keys(methods);
/** Everything before `script` is for the agent. `deleteFile` is for both. */
const ofControl = [...names.slice(names.indexOf('script')), 'deleteFile'];
/** Only `lcow-agent document` reads these. */
const ofPreviews = ['bundleDirectory', 'owner'];
const ofHosts = Object.keys(simulatedHostFile.shape).filter((name) => !ofPreviews.includes(name));

it.each([...new Set([...ofControl, ...steps, ...ofHosts])])('the page names %s', (name) => {
  expect(page).toContain(`\`${name}\``);
});
