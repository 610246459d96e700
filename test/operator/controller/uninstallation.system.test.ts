// What host records say after the operator is uninstalled, when nothing updates them any more.
import { afterEach, describe, expect, it } from 'vitest';
import { Hosts } from '../../../operator/controller/hosts.ts';
import { Inventory } from '../../../operator/controller/knowledge/inventory.ts';
import { Uninstallation } from '../../../operator/controller/knowledge/uninstallation.ts';
import { VirtualMachines } from '../../../operator/controller/knowledge/virtual-machines.ts';
import { NodeWrites } from '../../../operator/controller/status/node-writes.ts';
import { clientsOver } from '../../../operator/kubernetes/caches.ts';
import { plainAccess } from '../../../operator/kubernetes/cluster-access.ts';
import { KubeHttp, type KubeRequest } from '../../../operator/kubernetes/http.ts';
import { type Host, parseHost } from '../../../operator/kubernetes/objects.ts';
import { type Clock, systemClock } from '../../../runtime/clock.ts';
import { ManualClock } from '../../support/clocks/manual-clock.ts';
import { until } from '../../support/operator/fixture.ts';
import { makeHost } from '../../support/operator/objects.ts';
import {
  type Answer,
  event,
  hangingWatch,
  listOf,
  object,
  ScriptedApiServer,
} from '../../support/operator/scripted-api-server.ts';

/** A minute takes a tenth of a second. */
const hastyClock: Clock = {
  now: systemClock.now,
  after: (milliseconds, task) => systemClock.after(milliseconds / 600, task),
};
const name = 'lcow-operator-uninstall';
const endings: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const end of endings.splice(0)) await end();
});

async function follow(script: readonly Answer[], clock: Clock = hastyClock) {
  const server = new ScriptedApiServer(script);
  await server.start();
  const http = new KubeHttp({ access: plainAccess(server.url), clock: hastyClock, random: () => 0.5, version: '1' });
  const observer = { failed: () => {}, listed: () => {}, unexpected: () => {} };
  const hook = { namespace: 'lcow-system', name };
  const uninstallation = new Uninstallation({ http, clock, random: () => 0.5, observer, hook });
  const changes: boolean[] = [];
  uninstallation.start(() => changes.push(uninstallation.isUnderWay));
  endings.push(async () => {
    await uninstallation.stop();
    await server.stop();
  });
  return { server, uninstallation, changes };
}

describe('the hook of an uninstallation', () => {
  it('is noticed even if it exists for a moment only, and counts for a minute', async () => {
    const hook = object(name, '11');
    const { changes, server } = await follow([
      listOf([], '10'),
      hangingWatch([event('ADDED', hook), event('DELETED', hook)]),
    ]);
    await until(() => changes.length === 2);
    expect(changes).toEqual([true, false]);
    for (const { url } of server.requests) {
      expect(url.pathname).toBe('/api/v1/namespaces/lcow-system/configmaps');
      expect(url.searchParams.get('fieldSelector')).toBe(`metadata.name=${name}`);
    }
  });

  it('announces nothing if an interrupted uninstallation left it behind', async () => {
    const { changes, server } = await follow([listOf([object(name, '9')], '10')], systemClock);
    await until(() => server.watches.length === 1);
    expect(changes).toEqual([]);
  });

  it('need not exist', async () => {
    const observer = { failed: () => {}, listed: () => {}, unexpected: () => {} };
    const http = new KubeHttp({
      access: plainAccess(new URL('http://127.0.0.1:1')),
      clock: hastyClock,
      random: () => 0.5,
      version: '1',
    });
    const without = new Uninstallation({ http, clock: hastyClock, random: () => 0.5, observer, hook: undefined });
    without.start(() => expect.unreachable());
    expect(without.isUnderWay).toBe(false);
    await without.stop();
  });
});

/** An operator that knows one host, whose agent is connected. */
function bed() {
  const clock = new ManualClock();
  const inventory = new Inventory(clock);
  const machines = new VirtualMachines();
  const uninstallation = { isUnderWay: false };
  const stored = new Map<string, Host>([['node-a', makeHost('node-a', { session: { replica: 'r', epoch: 1 } })]]);
  const http = {
    request: async ({ body }: KubeRequest) => {
      const host = parseHost({ spec: {}, ...body });
      if (host !== undefined) stored.set('node-a', host);
      return { ok: true, value: body } as const;
    },
  };
  const hosts = new Hosts({
    drainOf: () => undefined,
    ...{ client: clientsOver(http).hosts, nodes: clientsOver(http).nodes },
    ...{ cache: stored, inventory, machines, uninstallation, clock, replica: 'r' },
    writes: new NodeWrites(clock, () => 0),
    restoration: { suspect: () => {} },
    onSuperseded: () => {},
  });
  inventory.begin('node-a', [], true);
  const connected = async () => {
    await hosts.reconcile('node-a');
    return stored.get('node-a')?.status.conditions?.find(({ type }) => type === 'Connected');
  };
  return { clock, inventory, uninstallation, connected, session: () => stored.get('node-a')?.status.session };
}

describe('a host', () => {
  it('is shown as not connected, and as connected again if the operator was not uninstalled after all', async () => {
    const { uninstallation, connected, session } = bed();
    expect(await connected()).toMatchObject({ status: 'True', reason: 'Connected' });
    uninstallation.isUnderWay = true;
    expect(await connected()).toMatchObject({ status: 'Unknown', reason: 'OperatorUninstalled' });
    // The agent may still be connected: this proves nothing about its VMs.
    expect(session()).toEqual({ replica: 'r', epoch: 1 });
    uninstallation.isUnderWay = false;
    expect(await connected()).toMatchObject({ status: 'True', reason: 'Connected' });
  });

  it('is also shown as not connected if its agent was uninstalled a moment before', async () => {
    const { clock, inventory, uninstallation, connected } = bed();
    await connected();
    inventory.end('node-a');
    await clock.advance(1_000);
    expect(await connected()).toMatchObject({ status: 'True' });
    uninstallation.isUnderWay = true;
    expect(await connected()).toMatchObject({ status: 'Unknown', reason: 'OperatorUninstalled' });
    await clock.advance(60_000);
    expect(await connected()).toMatchObject({ status: 'False', reason: 'HostDisconnected' });
  });
});
