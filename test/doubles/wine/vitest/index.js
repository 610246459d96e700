// As much of vitest as the suites that run under wine use, on Node's own runner: vitest itself does not start under wine 8.
import assert from 'node:assert/strict';
import { after as afterAll, afterEach, before as beforeAll, beforeEach, describe, it } from 'node:test';

export { afterAll, afterEach, beforeAll, beforeEach, describe, it };

class StringContaining {
  constructor(part) {
    this.part = part;
  }
}

/** The members that `expected` names, as deep as it goes. */
function matchObject(actual, expected) {
  assert.ok(typeof actual === 'object' && actual !== null, `${actual} is no object`);
  for (const [name, value] of Object.entries(expected)) {
    if (value instanceof StringContaining)
      assert.ok(String(actual[name]).includes(value.part), `${name}: ${actual[name]}`);
    else if (typeof value === 'object' && value !== null && !Array.isArray(value)) matchObject(actual[name], value);
    else assert.deepEqual(actual[name], value, name);
  }
}

function throwsLike(error, expected) {
  if (typeof expected === 'string') assert.ok(String(error?.message).includes(expected), `${error?.message}`);
  else if (expected instanceof RegExp) assert.match(String(error?.message), expected);
  else if (expected !== undefined) assert.ok(error instanceof expected, `${error}`);
}

const matchers = (actual) => ({
  toBe: (expected) => assert.equal(actual, expected),
  toEqual: (expected) => assert.deepEqual(actual, expected),
  toMatchObject: (expected) => matchObject(actual, expected),
  toMatch: (expected) => assert.match(actual, expected),
  toContain: (expected) =>
    assert.ok(actual.includes(expected), `${JSON.stringify(actual)} has no ${JSON.stringify(expected)}`),
  toBeGreaterThan: (expected) => assert.ok(actual > expected, `${actual} is not above ${expected}`),
  toBeLessThan: (expected) => assert.ok(actual < expected, `${actual} is not below ${expected}`),
  toBeInstanceOf: (expected) => assert.ok(actual instanceof expected),
});

export function expect(actual) {
  const rejection = () =>
    Promise.resolve(actual).then(
      () => assert.fail('it did not reject'),
      (error) => error,
    );
  return {
    ...matchers(actual),
    rejects: {
      toThrow: async (expected) => throwsLike(await rejection(), expected),
      toMatchObject: async (expected) => matchObject(await rejection(), expected),
    },
  };
}

expect.stringContaining = (part) => new StringContaining(part);
