// Bad tokens as fast as possible, each over its own TLS connection, also from the address of an agent.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { agentsPath, subprotocol } from '../../../protocol/messages.ts';
import type { RunningSystem } from '../../support/system/running-system.ts';
import { type Attack, broken, type Finding, held } from '../attack.ts';
import { Fleet, pkiFolder } from '../fleet.ts';

const strangers = 32;
const dials = 6;
const promisedMilliseconds = 1_000;

export const badTokens: Attack = {
  name: 'bad-tokens',
  party: 'stranger',
  promise: 'While bad tokens are sent as fast as they are answered, a valid one is accepted within a second.',
  // The verdict depends on seconds, which are not reliable beside other tests.
  short: false,
  run,
};

async function run(target: RunningSystem): Promise<Finding> {
  await using fleet = await Fleet.create(target, 'token-attack', dials);
  const ca = await readFile(join(pkiFolder(target), 'ca.crt'));
  const url = `wss://127.0.0.1:${target.system.replicas[0].agentsPort}${agentsPath}`;
  let [shown, admitted, over] = [0, 0, false];
  const stranger = async () => {
    while (!over) {
      shown += 1;
      if (await isAdmitted(url, ca, `bad-token-number-${shown}`)) admitted += 1;
    }
  };
  const showing = Array.from({ length: strangers }, stranger);
  const begun = performance.now();
  const took: number[] = [];
  for (const name of fleet.names) took.push((await fleet.join(name, AbortSignal.timeout(30_000))).openMilliseconds);
  const perSecond = Math.round((shown * 1_000) / (performance.now() - begun));
  over = true;
  await Promise.all(showing);
  const slowest = Math.round(Math.max(...took));
  const figure = `the slowest of ${dials} dials took ${slowest} ms, beside ${perSecond} bad tokens a second; ${admitted} of those were admitted`;
  return slowest < promisedMilliseconds && admitted === 0 ? held(figure) : broken(figure);
}

function isAdmitted(url: string, ca: Buffer, token: string): Promise<boolean> {
  const socket = new WebSocket(url, [subprotocol], { ca, headers: { authorization: `Bearer ${token}` } });
  return new Promise((resolve) => {
    socket.on('error', () => resolve(false));
    socket.on('open', () => {
      socket.terminate();
      resolve(true);
    });
  });
}
