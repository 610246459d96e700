import { expect, it } from 'vitest';
import { states } from '../../agent/vm/states.ts';
import { unreached } from './coverage.ts';

it('asks for every transition, and for a death before and after each call that was made', () => {
  const nothing = unreached(new Set());
  const transitions = Object.values(states).flatMap(({ events }) => Object.keys(events));
  expect(nothing.filter((each) => each.startsWith('transition '))).toHaveLength(transitions.length);
  expect(nothing).toContain('message observed');
  expect(nothing).toContain('reason DiskInUse');
  expect(nothing).not.toContain('message exec');
  const missed = unreached(new Set(['call file rename', 'crash before file rename', 'transition Idle: start']));
  expect(missed).toContain('crash after file rename');
  expect(missed).not.toContain('crash before file rename');
  expect(missed).not.toContain('transition Idle: start');
});
