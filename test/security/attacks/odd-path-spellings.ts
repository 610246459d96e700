// Paths below an allowed folder that Windows resolves to other paths. test/agent/preparation/paths/host-names.test.ts
// runs the agent's own check on the same list, because a compromised operator does not ask the API server.
import { oddPaths } from '../../support/agent/odd-spellings.ts';
import { type Attack, broken, held } from '../attack.ts';

const atOnce = 128;

export const oddPathSpellings: Attack = {
  name: 'odd-path-spellings',
  party: 'namespace editor',
  promise: 'The API server accepts no path that Windows would read as another one.',
  short: true,
  async run(target) {
    const through: string[] = [];
    for (let first = 0; first < oddPaths.length; first += atOnce) {
      const some = oddPaths.slice(first, first + atOnce);
      const disks = some.map((path, index) => ({ name: `disk-${index}`, path }));
      const manifest = {
        apiVersion: 'lcow.dev/v1alpha1',
        kind: 'LinuxUtilityVM',
        metadata: { name: 'odd-paths', namespace: 'default' },
        spec: { storage: { disks } },
      };
      const { stderr } = await target.tryKubectl(['create', '--dry-run=server', '-f', '-'], JSON.stringify(manifest));
      through.push(...some.filter((_, index) => !stderr.includes(`spec.storage.disks[${index}].path:`)));
    }
    if (through.length > 0) return broken(through.map((path) => JSON.stringify(path)).join(', '));
    return held(`${oddPaths.length} of ${oddPaths.length} spellings refused`);
  },
};
