// A stranger on the network sends requests directly to the operator's API: without a certificate, with the certificate
// of another client, and requests that are malformed.
import { readFile } from 'node:fs/promises';
import { subresourcePath } from '../../../protocol/subresources.ts';
import { administratorOf } from '../../support/system/administrator.ts';
import { plainHeaders, rawRequest, sendRaw, tally, webSocketHeaders } from '../../support/system/raw-request.ts';
import type { RunningSystem } from '../../support/system/running-system.ts';
import { type Attack, broken, type Finding, held } from '../attack.ts';

const exec = `${subresourcePath('default', 'x', 'exec')}?command=id`;
const masters = ['X-Remote-User: admin', 'X-Remote-Group: system:masters'];
const targets = [
  '//',
  '///',
  'http://a:b',
  'http://[',
  '*',
  '%',
  '\\\\a',
  '?',
  '#',
  '/apis',
  exec,
  `https://[::1${exec}`,
];
const methods = ['GET', 'OPTIONS', 'CONNECT', 'POST', 'PROPFIND', 'QUERY', 'BREW', 'get'];
const huge = 'x'.repeat(1 << 20);

const requests: readonly string[] = [
  ...methods.flatMap((method) => targets.map((target) => rawRequest(method, target, [...plainHeaders, ...masters]))),
  ...targets.map((target) => rawRequest('GET', target, [...webSocketHeaders(), ...masters])),
  rawRequest('GET', `/${huge}`, plainHeaders),
  rawRequest('GET', '/', [`X-Remote-Group: ${huge}`]),
  rawRequest('GET', '/apis', ['Content-Length: 10', 'Transfer-Encoding: chunked']),
  rawRequest('GET', '/apis', ['Expect: 100-continue', 'Content-Length: 10']),
  rawRequest('GET', '/apis', ['__proto__: a', '__proto__: b', 'constructor: c']),
  'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'GET /apis HTTP/1.1\r\n\r\n',
  'GET /apis HTTP/0.9\r\n\r\n',
  '\0\r\n\r\n',
];

async function attack(target: RunningSystem): Promise<Finding> {
  const [{ apiPort, process }] = target.system.replicas;
  const to = { host: '127.0.0.1', port: apiPort };
  const errors = async () => {
    const lines = (await readFile(process.program.logFile, 'utf8')).split('\n');
    return lines.filter((line) => /"level":[56]0/.test(line)).length;
  };
  const before = await errors();
  const codes: number[] = [];
  // A certificate of another client, from the authority that signed the API server's own.
  for (const identity of [{}, await administratorOf(target)]) {
    for (const request of requests) codes.push((await sendRaw({ ...to, ...identity }, request)).code);
  }
  const logged = (await errors()) - before;
  const figure = `${codes.length} requests: ${tally(codes)}; ${logged} errors in the log`;
  return logged === 0 && codes.every((code) => code === 400 || code === 401) ? held(figure) : broken(figure);
}

export const strangerRequests: Attack = {
  name: 'stranger-requests',
  party: 'stranger',
  promise: 'Every client except the API server is refused before its request is read.',
  short: true,
  run: attack,
};
