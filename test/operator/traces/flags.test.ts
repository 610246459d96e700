import { Command } from 'commander';
import { describe, expect, it } from 'vitest';
import { type TraceFlags, traceOptions, traceSettings } from '../../../operator/traces/flags.ts';

function settings(...flags: readonly string[]) {
  const command = new Command().exitOverride().configureOutput({ writeErr: () => undefined });
  for (const option of traceOptions()) command.addOption(option);
  return traceSettings(command.parse(flags, { from: 'user' }).opts<TraceFlags>());
}

describe('the flags for traces', () => {
  it('turn traces on', () => {
    expect(settings()).toBeUndefined();
    const endpoint = new URL('https://collector:4318/otlp');
    expect(settings('--traces-endpoint', endpoint.href, '--traces-token-file', 'token')).toEqual({
      endpoint,
      tokenFile: 'token',
    });
  });

  it.each([
    [['--traces-endpoint', 'collector:4318'], 'must be a URL with http or https'],
    [['--traces-endpoint', 'http://user:secret@collector'], 'must not contain a password'],
    [['--traces-endpoint', 'http://collector?x=1'], 'must end with its path'],
    [['--traces-token-file', 'token'], 'needs --traces-endpoint with https'],
    [['--traces-endpoint', 'http://collector:4318', '--traces-token-file', 'token'], 'anyone could read the token'],
  ])('are refused when they make no sense: %s', (flags, problem) => {
    expect(() => settings(...flags)).toThrow(problem);
  });
});
