// What a VM leaves on its node once it is gone: nothing.
import { readdir } from 'node:fs/promises';
import { expect } from 'vitest';
import type { TestNode } from './simulated-node.ts';

/** No compute system, no folder of a VM, no staged file. */
export async function expectNothingLeft(node: TestNode): Promise<void> {
  expect(await node.control.systems()).toEqual([]);
  expect(await readdir(`${node.folder}/agent/vms`)).toEqual([]);
  expect((await node.control.files()).map(({ path }) => path).filter((path) => path.includes('lcow'))).toEqual([]);
}
