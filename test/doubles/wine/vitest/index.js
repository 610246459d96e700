// As much of vitest as the contract suites use, on Node's own runner: vitest itself does not start under wine 8.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';

export { afterEach, beforeEach, describe, it };

export function expect(actual) {
  return {
    toBe: (expected) => assert.equal(actual, expected),
    toEqual: (expected) => assert.deepEqual(actual, expected),
    toMatchObject: (expected) => assert.partialDeepStrictEqual(actual, expected),
    toMatch: (expected) => assert.match(actual, expected),
    toBeGreaterThan: (expected) => assert.ok(actual > expected),
    toBeInstanceOf: (expected) => assert.ok(actual instanceof expected),
  };
}
