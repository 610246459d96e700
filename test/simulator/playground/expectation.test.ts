// The examples that `npm start` applies.
import { readdir } from 'node:fs/promises';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { chooseExamples, readExamples, UnknownExampleError } from '../../../simulator/playground/expectation.ts';

const folder = fileURLToPath(new URL('../../../examples/', import.meta.url));

it('the examples are all files of examples/', async () => {
  const files = (await readdir(folder)).filter((name) => name.endsWith('.yaml'));
  const examples = chooseExamples(await readExamples([folder]), undefined);
  expect(new Set(examples.map(({ file }) => basename(file)))).toEqual(new Set(files));
});

it('the examples can be selected with --example', async () => {
  const chosen = chooseExamples(await readExamples([folder]), ['ordinary', 'halted']);
  expect(chosen.map(({ key }) => key).sort()).toEqual(['default/halted', 'default/ordinary']);
});

it('the examples are listed when somebody asks for an unknown one', async () => {
  const all = await readExamples([folder]);
  expect(() => chooseExamples(all, ['ordinary', 'none'])).toThrow(UnknownExampleError);
  expect(() => chooseExamples(all, ['none'])).toThrow(/^--example none: .*there are .*halted.*ordinary/);
});
