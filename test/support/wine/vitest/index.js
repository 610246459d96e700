// As much of vitest as the suites that run under wine use, on Node's own runner: vitest itself does not start under wine 8.
import assert from 'node:assert/strict';
import { after as afterAll, afterEach, before as beforeAll, beforeEach, describe, it as nodeIt } from 'node:test';
import { isDeepStrictEqual } from 'node:util';

export { afterAll, afterEach, beforeAll, beforeEach, describe };

/** Vitest hands a test its own context only when asked, Node always. */
export function it(name, run) {
  nodeIt(name, () => run());
}

it.each = (rows) => (name, run) => {
  for (const row of rows) {
    const values = Array.isArray(row) ? row : [row];
    const rest = [...values];
    nodeIt(
      name.replace(/%[sdij]/g, () => String(rest.shift())),
      () => run(...values),
    );
  }
};

class Asymmetric {
  constructor(what, matches) {
    this.what = what;
    this.matches = matches;
  }
}

/** With what stands for many values replaced by the actual one, where it is one of them. */
function settled(actual, expected) {
  if (expected instanceof Asymmetric) return expected.matches(actual) ? actual : expected;
  if (Array.isArray(expected)) return expected.map((each, index) => settled(actual?.[index], each));
  if (typeof expected !== 'object' || expected === null || Object.getPrototypeOf(expected) !== Object.prototype)
    return expected;
  return Object.fromEntries(Object.entries(expected).map(([name, value]) => [name, settled(actual?.[name], value)]));
}

/** The members that `expected` names, as deep as it goes; an array has all. */
function matchObject(actual, expected) {
  assert.ok(typeof actual === 'object' && actual !== null, `${actual} is no object`);
  for (const [name, value] of Object.entries(settled(actual, expected))) {
    const isPlain = typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
    if (isPlain) matchObject(actual[name], value);
    else assert.deepEqual(actual[name], value, `${name}: ${actual[name]} is not ${value?.what ?? value}`);
  }
}

function throwsLike(error, expected) {
  if (typeof expected === 'string') assert.ok(String(error?.message).includes(expected), `${error?.message}`);
  else if (expected instanceof RegExp) assert.match(String(error?.message), expected);
  else if (expected !== undefined) assert.ok(error instanceof expected, `${error}`);
}

const show = (value) => (typeof value === 'string' ? JSON.stringify(value) : `${value}`);

const matchers = {
  toBe: (actual, expected) => assert.ok(Object.is(actual, expected), `${show(actual)} is not ${show(expected)}`),
  toEqual: (actual, expected) => assert.deepEqual(actual, settled(actual, expected)),
  toStrictEqual: (actual, expected) => assert.deepEqual(actual, settled(actual, expected)),
  toMatchObject: matchObject,
  toMatch: (actual, expected) => throwsLike({ message: actual }, expected),
  toContain: (actual, expected) => assert.ok(actual.includes(expected), `${show(actual)} has no ${show(expected)}`),
  toContainEqual: (actual, expected) => assert.ok(actual.some((each) => isDeepStrictEqual(each, expected))),
  toHaveLength: (actual, expected) => assert.equal(actual.length, expected),
  toBeUndefined: (actual) => assert.equal(actual, undefined),
  toBeDefined: (actual) => assert.notEqual(actual, undefined),
  toBeGreaterThan: (actual, expected) => assert.ok(actual > expected, `${actual} is not above ${expected}`),
  toBeGreaterThanOrEqual: (actual, expected) => assert.ok(actual >= expected, `${actual} is below ${expected}`),
  toBeLessThan: (actual, expected) => assert.ok(actual < expected, `${actual} is not below ${expected}`),
  toBeLessThanOrEqual: (actual, expected) => assert.ok(actual <= expected, `${actual} is above ${expected}`),
  toBeInstanceOf: (actual, expected) => assert.ok(actual instanceof expected, `${actual} is no ${expected.name}`),
};

const entries = Object.entries(matchers);

function direct(actual) {
  return Object.fromEntries(entries.map(([name, check]) => [name, (expected) => check(actual, expected)]));
}

function inverse(actual) {
  return Object.fromEntries(
    entries.map(([name, check]) => [
      name,
      (expected) => assert.throws(() => check(actual, expected), assert.AssertionError, `${show(actual)}: not ${name}`),
    ]),
  );
}

function later(promise) {
  return Object.fromEntries(entries.map(([name, check]) => [name, async (expected) => check(await promise, expected)]));
}

function rejection(promise) {
  return Promise.resolve(promise).then(
    () => assert.fail('it did not reject'),
    (error) => error,
  );
}

export function expect(actual) {
  return {
    ...direct(actual),
    not: inverse(actual),
    get resolves() {
      return later(actual);
    },
    get rejects() {
      const error = rejection(actual);
      return { ...later(error), toThrow: async (expected) => throwsLike(await error, expected) };
    },
    toThrow(expected) {
      let isThrown = false;
      try {
        actual();
      } catch (error) {
        isThrown = true;
        throwsLike(error, expected);
      }
      assert.ok(isThrown, 'it did not throw');
    },
  };
}

expect.stringContaining = (part) => new Asymmetric(`…${part}…`, (actual) => String(actual).includes(part));
expect.any = (type) =>
  new Asymmetric(
    type.name,
    (actual) => actual instanceof type || (actual !== null && actual !== undefined && actual.constructor === type),
  );
