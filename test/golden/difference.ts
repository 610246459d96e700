// What differs between two parsed JSON values, by path.
import { printExact } from './exact-json.ts';

export interface Difference {
  readonly path: string;
  readonly expected: string;
  readonly got: string;
}

export function differences(expected: unknown, got: unknown, path = ''): Difference[] {
  if (isContainer(expected) && isContainer(got) && Array.isArray(expected) === Array.isArray(got)) {
    const keys = new Set([...Object.keys(expected), ...Object.keys(got)]);
    return [...keys].flatMap((key) =>
      differences(member(expected, key), member(got, key), path === '' ? key : `${path}.${key}`),
    );
  }
  return Object.is(expected, got) ? [] : [{ path, expected: printExact(expected), got: printExact(got) }];
}

function isContainer(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function member(container: object, key: string): unknown {
  return Object.getOwnPropertyDescriptor(container, key)?.value;
}
