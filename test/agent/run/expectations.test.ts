import { describe, expect, it } from 'vitest';
import { expectationsOf } from '../../../agent/run/expectations.ts';
import type { RequestedOptions } from '../../../protocol/options.ts';

const table: readonly (readonly [what: string, RequestedOptions, log: boolean, mayLog: boolean, bridge: boolean])[] = [
  ['nothing', {}, true, true, true],
  ['no output', { ForwardStderr: false }, false, false, true],
  ['its output only', { ForwardStderr: false, ForwardStdout: true }, true, true, true],
  ['no bridge', { UseGuestConnection: false }, true, true, false],
  // A guest whose connection to port 109 is refused dies, and its output setting is unknown here.
  ['no output of a confidential guest', { ForwardStderr: false, SecurityPolicyEnabled: true }, false, true, true],
  ['no output of a command from the manifest', { ForwardStderr: false, ExecCommandLine: '/bin/x' }, false, true, true],
];

describe('the ports that a guest dials', () => {
  it.each(table)('with %s', (_what, options, log, mayLog, bridge) => {
    expect(expectationsOf(options)).toEqual({ log, mayLog, bridge });
  });
});
