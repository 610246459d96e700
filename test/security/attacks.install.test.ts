// The attacks that are short enough for every test run. `npm run test:security` runs all of them.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RunningSystem } from '../support/system/running-system.ts';
import { attacks } from './all-attacks.ts';
import { startTarget } from './target.ts';

let target: RunningSystem;

beforeAll(async () => {
  target = await startTarget();
});
afterAll(() => target[Symbol.asyncDispose]());

describe('an attack is withstood', () => {
  it.each(attacks.filter(({ short }) => short))('$party: $promise', async ({ run }) => {
    expect(await run(target)).toMatchObject({ held: true });
  });
});
