// How agents connect to the operator: over HTTP, with a token and the protocol.
import http from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { agentsPath, subprotocol } from '../../../protocol/messages.ts';
import { makeCertificates } from '../../support/certificates.ts';
import { Harness, tokensAreNames } from '../../support/operator/agent-server-bed.ts';

let harness: Harness;
beforeEach(async () => {
  harness = new Harness(tokensAreNames);
  await harness.start();
});
afterEach(() => harness.server.close());

interface Attempt {
  readonly path?: string;
  readonly protocol?: string;
  readonly token?: string;
}

/** The HTTP status with which a connection is refused. */
function refusal({
  path = agentsPath,
  protocol = subprotocol,
  token = 'node-a',
}: Attempt): Promise<number | undefined> {
  const socket = new WebSocket(`ws://127.0.0.1:${harness.port}${path}`, protocol === '' ? [] : [protocol], {
    ...(token === '' ? {} : { headers: { authorization: `Bearer ${token}` } }),
  });
  socket.on('error', () => {});
  return new Promise((resolve) => {
    socket.on('unexpected-response', (_request, response) => resolve(response.statusCode));
    socket.on('open', () => resolve(undefined));
  });
}

describe('agent server', () => {
  it.each<[string, Attempt, number]>([
    ['another path', { path: '/v1/other' }, 404],
    ['no subprotocol', { protocol: '' }, 400],
    ['another subprotocol', { protocol: 'lcow.v9' }, 400],
    ['no token', { token: '' }, 401],
    ['an unknown token', { token: 'bad' }, 401],
  ])('refuses %s', async (_name, attempt, code) => {
    expect(await refusal(attempt)).toBe(code);
    expect(harness.sessions.count).toBe(0);
  });

  it('tells agents to dial again while it does not lead, and tells a browser that this is not a web site', async () => {
    harness.leads = false;
    expect(await refusal({})).toBe(503);
    const code = await new Promise((resolve) => {
      http.get(`http://127.0.0.1:${harness.port}/`, (response) => resolve(response.resume().statusCode));
    });
    expect(code).toBe(426);
  });

  it('serves TLS 1.3 only', async () => {
    const { authority, serving } = await makeCertificates();
    const secure = new Harness(tokensAreNames, true);
    await secure.start();
    const dial = (maxVersion: 'TLSv1.2' | 'TLSv1.3') =>
      new Promise<string>((resolve) => {
        const headers = { authorization: 'Bearer node-a' };
        const socket = new WebSocket(`wss://127.0.0.1:${secure.port}${agentsPath}`, [subprotocol], {
          ca: authority,
          maxVersion,
          headers,
        });
        socket.on('open', () => resolve('open'));
        socket.on('error', () => resolve('refused'));
      });
    expect(await dial('TLSv1.3')).toBe('refused');
    secure.server.useCertificate(serving);
    expect(await dial('TLSv1.2')).toBe('refused');
    expect(await dial('TLSv1.3')).toBe('open');
    await secure.server.close();
  });
});
