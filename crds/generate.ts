// `npm run generate` writes the CustomResourceDefinitions into this folder. `--check` only reports whether they are
// current.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { stringify } from 'yaml';
import { customResourceDefinition } from './custom-resource-definition.ts';
import type { Kind } from './kind.ts';
import { linuxUtilityVMKind } from './linux-utility-vm.ts';
import { linuxUtilityVMHostKind } from './linux-utility-vm-host.ts';
import { linuxUtilityVMSetKind } from './linux-utility-vm-set.ts';
import { group } from './names.ts';

const folder = new URL('./', import.meta.url);

const allKinds = [linuxUtilityVMKind, linuxUtilityVMSetKind, linuxUtilityVMHostKind];

/** The expected content of the folder: file name to text. */
export function generatedFiles(kinds: readonly Kind[] = allKinds) {
  return new Map(
    kinds.map((kind) => [
      `${group}_${kind.plural}.yaml`,
      `# Generated from the zod schema of ${kind.kind} by \`npm run generate\`; do not edit.\n${stringify(
        customResourceDefinition(kind),
        // Aliases would be valid YAML, but not every tool that reads CRDs resolves them.
        { aliasDuplicateObjects: false, lineWidth: 120 },
      )}`,
    ]),
  );
}

/** Files that are missing or not current, one line each. */
export function differences(expected: ReadonlyMap<string, string>, present: ReadonlyMap<string, string>): string[] {
  const stale = [...present.keys()].filter((name) => !expected.has(name)).map((name) => `crds/${name} is of no kind`);
  const changed = [...expected]
    .filter(([name, text]) => present.get(name) !== text)
    .map(([name]) => `crds/${name} ${present.has(name) ? 'differs from its schema' : 'is missing'}`);
  return [...stale, ...changed];
}

function presentFiles(): Map<string, string> {
  const names = readdirSync(folder).filter((name) => name.endsWith('.yaml'));
  return new Map(names.map((name) => [name, readFileSync(new URL(name, folder), 'utf8')]));
}

function main(arguments_: readonly string[]): number {
  const expected = generatedFiles();
  if (arguments_.includes('--check')) {
    const found = differences(expected, presentFiles());
    if (found.length === 0) return 0;
    process.stderr.write(`${found.join('\n')}\nrun \`npm run generate\` and commit the result\n`);
    return 1;
  }
  for (const [name, text] of expected) writeFileSync(new URL(name, folder), text);
  return 0;
}

if (import.meta.main) process.exitCode = main(process.argv.slice(2));
