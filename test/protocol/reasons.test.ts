import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { reasons } from '../../protocol/reasons.ts';

const page = new URL('../../docs/reasons.md', import.meta.url);

it('every reason has its place in the docs, and every place has a reason', async () => {
  const anchors = [...(await readFile(page, 'utf8')).matchAll(/^### (\w+)$/gm)].map(([, code]) => code);
  expect(anchors.toSorted()).toEqual(Object.keys(reasons).toSorted());
});

it('every reason is valid as a condition reason', () => {
  for (const code of Object.keys(reasons)) expect(code).toMatch(/^[A-Z][A-Za-z]{1,62}$/);
});
