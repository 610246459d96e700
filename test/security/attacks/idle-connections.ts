// 6,100 connections that show no token, from one address and from many, at the port for agents.
import { once } from 'node:events';
import net, { type Socket } from 'node:net';
import type { RunningSystem } from '../../support/system/running-system.ts';
import { type Attack, broken, type Finding, held } from '../attack.ts';
import { Fleet } from '../fleet.ts';

const connections = 6_100;
const dials = 12;
const promisedMilliseconds = 1_000;
/** A stranger who is disconnected reconnects after this time. A shorter time would be a flood. */
const reopenMilliseconds = 5_000;

export const idleConnections: Attack = {
  name: 'idle-connections',
  party: 'stranger',
  promise: 'Beside 6,100 idle connections, 12 of 12 dials with a valid token take less than a second.',
  short: false,
  run,
};

async function run(target: RunningSystem): Promise<Finding> {
  await using fleet = await Fleet.create(target, 'idle-attack', 2 * dials);
  const port = target.system.replicas[0].agentsPort;
  const [half, other] = [fleet.names.slice(0, dials), fleet.names.slice(dials)];
  const oneAddress = await besieged(fleet, half, () => connect(port, '127.0.0.1'));
  const manyAddresses = await besieged(fleet, other, (index) => connect(port, `127.0.1.${1 + (index % 250)}`));
  const slowest = Math.round(Math.max(...oneAddress, ...manyAddresses));
  const figure = `the slowest of ${2 * dials} dials took ${slowest} ms`;
  return slowest < promisedMilliseconds ? held(figure) : broken(figure);
}

/** How long each agent took to connect, one after the other, while the strangers reconnect. */
async function besieged(
  fleet: Fleet,
  names: readonly string[],
  open: (index: number) => Promise<Socket>,
): Promise<number[]> {
  const sockets = new Set<Socket>();
  let over = false;
  const keepOpen = async (index: number): Promise<void> => {
    const socket = await open(index).catch(() => undefined);
    if (socket === undefined) return;
    sockets.add(socket);
    socket.once('close', () => {
      sockets.delete(socket);
      if (!over) setTimeout(() => void keepOpen(index), reopenMilliseconds);
    });
    if (over) socket.destroy();
  };
  await Promise.all(Array.from({ length: connections }, (_, index) => keepOpen(index)));
  const took: number[] = [];
  for (const name of names) took.push((await fleet.join(name, AbortSignal.timeout(30_000))).openMilliseconds);
  over = true;
  for (const socket of sockets) socket.destroy();
  return took;
}

async function connect(port: number, localAddress: string): Promise<Socket> {
  const socket = net.connect({ port, host: '127.0.0.1', localAddress }).on('error', () => {});
  await once(socket, 'connect');
  return socket.resume();
}
