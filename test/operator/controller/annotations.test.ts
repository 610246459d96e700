// How the operator reads the annotations of users, and what it reports about them.
import { describe, expect, it } from 'vitest';
import { annotationWarnings, isPaused, restartRequest } from '../../../operator/controller/knowledge/annotations.ts';
import { makeMachine } from '../../support/operator/objects.ts';

const metadata = (annotations: Record<string, string>) => makeMachine({ metadata: { annotations } }).metadata;
const paused = (value: string) => metadata({ 'lcow.dev/paused': value });

describe('the pause', () => {
  it.each(['1', 't', 'T', 'TRUE', 'true', 'True'])('%s pauses, as in programs written in Go', (value) => {
    expect(isPaused(paused(value))).toBe(true);
    expect(annotationWarnings(paused(value))).toEqual([]);
  });

  it.each(['0', 'f', 'F', 'FALSE', 'false', 'False'])('%s does not pause', (value) => {
    expect(isPaused(paused(value))).toBe(false);
    expect(annotationWarnings(paused(value))).toEqual([]);
  });

  it.each(['yes', 'on', 'tRUE', '', ' true', '😀'.repeat(100)])('%j does neither, and causes a warning', (value) => {
    expect(isPaused(paused(value))).toBe(false);
    const [warning = ''] = annotationWarnings(paused(value));
    expect(warning).toContain('is neither true nor false, so it does not pause the VM');
    expect(warning.isWellFormed()).toBe(true);
    expect(warning.length).toBeLessThan(200);
  });
});

describe('a restart', () => {
  it.each([63, 64, 1_024])('is requested by the complete value, of %i characters', (length) => {
    const [one, other] = ['a', 'b'].map((end) =>
      restartRequest(metadata({ 'lcow.dev/restartedAt': 'x'.repeat(length - 1) + end })),
    );
    expect(one?.restartedAt).toBeDefined();
    expect(one?.restartedAt).not.toBe(other?.restartedAt);
    expect(one?.restartedAt?.length).toBeLessThanOrEqual(64);
  });

  it('is not requested by a value that is too long, which causes a warning', () => {
    const long = metadata({ 'lcow.dev/restartedAt': 'x'.repeat(1_025) });
    expect(restartRequest(long)).toEqual({});
    expect(annotationWarnings(long)).toEqual([expect.stringContaining('the value has 1025 characters')]);
  });
});

it.each(['TRUE', '1', 'yes'])('%s does not force a deletion, and causes a warning', (value) => {
  expect(annotationWarnings(metadata({ 'lcow.dev/force-delete': value }))).toEqual([
    expect.stringContaining('only "true" has one'),
  ]);
});
