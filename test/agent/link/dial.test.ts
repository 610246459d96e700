import { describe, expect, it } from 'vitest';
import { operatorUrl } from '../../../agent/commands/flags.ts';
import { bracketed, urlProblem } from '../../../agent/link/dial.ts';

describe('the address of the operator', () => {
  it.each([
    ['wss://lcow-operator.lcow-system.svc:8443/v1/agents', undefined],
    ['ws://127.0.0.1:8443/v1/agents', undefined],
    ['ws://operator:8443/v1/agents', 'not encrypted'],
    ['https://operator:8443', 'wss://'],
    ['operator', 'not a URL'],
    ['ws://[::1]:8443/v1/agents', undefined],
    ['ws://[fd00::1]:8443/v1/agents', 'not encrypted'],
  ])('%s', (url, problem) => {
    const found = urlProblem(url);
    if (problem === undefined) expect(found).toBeUndefined();
    else expect(found).toContain(problem);
  });

  it.each([
    ['wss://fd00:10:96::7f:8443/v1/agents', 'wss://[fd00:10:96::7f]:8443/v1/agents'],
    ['ws://::1:8443/v1/agents', 'ws://[::1]:8443/v1/agents'],
    ['wss://fd00::1:8443', 'wss://[fd00::1]:8443'],
  ])('can be an IPv6 address as the kubelet inserts it: %s', (inserted, url) => {
    expect(bracketed(inserted)).toBe(url);
    expect(operatorUrl(inserted.replace('ws:', 'wss:'))).toBe(url.replace('ws:', 'wss:'));
    expect(urlProblem(bracketed(inserted))).toBeUndefined();
  });

  it.each([
    'wss://[fd00::1]:8443/v1/agents',
    'wss://10.96.0.7:8443/v1/agents',
    'wss://lcow-operator:8443/v1/agents',
    'wss://lcow-operator/v1:x/agents',
    'operator',
    'fd00::1:8443',
    '',
  ])('is left unchanged: %j', (url) => {
    expect(bracketed(url)).toBe(url);
  });
});
