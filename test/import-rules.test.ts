// The import rules of docs/decisions/0001-layout.md: rooms import one way, and each library that reaches outside the
// process is imported in one place only.
import { beforeAll, describe, expect, it } from 'vitest';
import { type Import, isOurs, levelsOf, readImports, roomGraph, roomOf } from './support/import-graph.ts';

/** A room imports only from layers above its own, and from no other room of its own layer. */
const layers: readonly (readonly string[])[] = [
  ['crds', 'runtime'],
  ['protocol', 'sets', 'agent/bounds', 'agent/document'],
  ['annotations', 'agent/node', 'agent/failure.ts', 'agent/stop-signals.ts', 'agent/thread-pool.ts', 'operator'],
  ['agent/guest', 'agent/preparation', 'agent/storage', 'agent/metrics', 'agent/network', 'kubectl'],
  ['agent/guest-log', 'agent/modification', 'agent/run', 'agent/windows', 'simulator/wire'],
  ['agent/vm', 'simulator/client', 'simulator/host-file.ts'],
  ['agent/streams', 'agent/link', 'agent/doctor', 'simulator/guest'],
  ['agent/agent.ts', 'simulator/service'],
  ['agent/commands'],
  ['agent/main.ts', 'simulator/agent.ts', 'simulator/playground'],
];

/** Beyond the layers: what a room must not import, however far below it is. */
const strangers: Readonly<Record<string, readonly string[]>> = {
  operator: ['agent', 'simulator', 'kubectl'],
  // The plugin reaches the operator only by the API server, so it can import none of the programs.
  kubectl: ['agent', 'operator', 'simulator'],
  agent: ['operator', 'simulator', 'kubectl', 'sets'],
  // Of the agent, it needs the document builder only, which is pure and small enough for the plugin.
  annotations: ['agent/bounds', 'operator', 'simulator', 'kubectl', 'sets'],
  'agent/windows': ['agent/preparation', 'agent/guest-log', 'agent/run', 'agent/vm'],
  'simulator/wire': ['agent/preparation', 'agent/guest-log', 'agent/run', 'agent/vm'],
  'simulator/client': ['agent/preparation', 'agent/guest-log', 'agent/run', 'agent/vm'],
  'simulator/guest': ['agent/preparation', 'agent/guest-log', 'agent/run', 'agent/vm'],
  'simulator/service': ['agent/preparation', 'agent/guest-log', 'agent/run', 'agent/vm'],
};

/** Only the playground imports the control plane of the tests, because it starts a whole system. */
const importsTests = 'simulator/playground';

/** Packages that only these folders or files can import. */
const packageHomes: Readonly<Record<string, readonly string[]>> = {
  koffi: ['agent/windows'],
  '@kubernetes/client-node': ['operator/kubernetes', 'kubectl/cluster.ts'],
  rolldown: ['kubectl/package'],
  'tar-stream': ['kubectl'],
};

/** Packages that a folder can import. If absent: every package that is not restricted to other folders. */
const allowedPackages: Readonly<Record<string, readonly string[]>> = {
  crds: ['zod', 'yaml'],
  'agent/document': ['zod'],
  sets: [],
};

const controllerRooms = ['knowledge', 'status', 'placement', 'instructions', 'sets'].map(
  (room) => `operator/controller/${room}`,
);

/**
 * What the rooms of the operator can import from each other. Each list has only rooms above it, so there is no cycle.
 */
const operatorRooms: Readonly<Record<string, readonly string[]>> = {
  // The work queue and its order.
  'operator/queue': [],
  // The API server: reading, watching, writing, leading.
  'operator/kubernetes': ['operator/queue'],
  'operator/certificates': ['operator/kubernetes'],
  // The stored state of VMs, the reports of agents, and the meaning of both.
  'operator/controller/knowledge': ['operator/kubernetes'],
  // What is written as the status of a VM or host, and when.
  'operator/controller/status': ['operator/controller/knowledge', 'operator/kubernetes', 'operator/queue'],
  // Which host takes a VM, and whether the VM has to leave it.
  'operator/controller/placement': [
    'operator/controller/knowledge',
    'operator/controller/status',
    'operator/kubernetes',
  ],
  // What an agent is sent about a VM.
  'operator/controller/instructions': [
    'operator/controller/knowledge',
    'operator/controller/status',
    'operator/kubernetes',
  ],
  // The VMs of a set: its plan, its revisions, its status.
  'operator/controller/sets': [
    'operator/controller/knowledge',
    'operator/controller/status',
    'operator/kubernetes',
    'operator/queue',
  ],
  // One pass over one VM or host, and its triggers.
  'operator/controller': [...controllerRooms, 'operator/kubernetes', 'operator/queue'],
  // The agents' sessions.
  'operator/agents': [
    'operator/controller',
    'operator/controller/instructions',
    'operator/controller/knowledge',
    'operator/controller/status',
    'operator/kubernetes',
  ],
  // The aggregated API, by which users reach their VMs.
  'operator/subresources': ['operator/agents', 'operator/certificates', 'operator/kubernetes'],
  // Spans of boots and rollouts, and how they reach a collector.
  'operator/traces': ['operator/controller/knowledge', 'operator/kubernetes'],
  // The operator's metrics.
  'operator/metrics': [
    'operator/agents',
    'operator/controller',
    'operator/controller/knowledge',
    'operator/kubernetes',
    'operator/subresources',
    'operator/traces',
  ],
};

const levelLimit = 10;
const rootFileLimit = 8;

let imports: readonly Import[] = [];

beforeAll(async () => {
  imports = await readImports();
});

const within = (path: string, folder: string) => path === folder || path.startsWith(`${folder}/`);
const isBuiltIn = ({ target }: Import) => target.startsWith('node:');
const show = ({ from, target }: Import) => `${from} imports ${target}`;
const isOfTests = ({ target }: Import) => target.startsWith('test/');
/** Undefined for a file outside of the layers. */
const layerOf = (file: string) => {
  const index = layers.findIndex((rooms) => rooms.some((room) => within(file, room)));
  return index < 0 ? undefined : index;
};
/** Undefined for a file at the root of operator/, which puts its rooms together. */
const operatorRoomOf = (file: string) =>
  Object.keys(operatorRooms)
    .filter((room) => within(file, room))
    .sort((a, b) => b.length - a.length)[0];
const ours = () => imports.filter((each) => isOurs(each) && !isOfTests(each));

describe('rooms', () => {
  it('are found', () => {
    expect(imports.length).toBeGreaterThan(300);
    expect(imports.some(({ target }) => target === 'zod')).toBe(true);
  });

  it('all belong to a layer', () => {
    const homeless = ours().flatMap(({ from, target }) => [from, target].filter((file) => layerOf(file) === undefined));
    expect([...new Set(homeless)]).toEqual([]);
  });

  it('import only from the layers above their own', () => {
    const wrong = ours().filter(({ from, target }) => {
      const [mine, other] = [layerOf(from), layerOf(target)];
      if (mine === undefined || other === undefined || mine > other) return false;
      const isOneRoom = layers[mine]?.some((room) => within(from, room) && within(target, room));
      return isOneRoom !== true;
    });
    expect(wrong.map(show)).toEqual([]);
  });

  it('of the operator import each other one way', () => {
    const rooms = Object.keys(operatorRooms);
    const upwards = rooms.flatMap((room, index) =>
      (operatorRooms[room] ?? [])
        .filter((other) => !rooms.slice(0, index).includes(other))
        .map((other) => [room, other]),
    );
    expect(upwards).toEqual([]);
    const wrong = imports
      .filter(({ target }) => within(target, 'operator'))
      .filter(({ from, target }) => {
        const room = operatorRoomOf(from);
        const other = operatorRoomOf(target);
        return room !== undefined && room !== other && !operatorRooms[room]?.some((each) => each === other);
      });
    expect(wrong.map(show)).toEqual([]);
  });

  it('do not import what they must not know', () => {
    const wrong = ours().filter(({ from, target }) =>
      Object.entries(strangers).some(
        ([room, unknown]) => within(from, room) && unknown.some((folder) => within(target, folder)),
      ),
    );
    expect(wrong.map(show)).toEqual([]);
  });

  it('import nothing from the tests', () => {
    const wrong = imports.filter(isOfTests).filter(({ from }) => !within(from, importsTests));
    expect(wrong.map(show)).toEqual([]);
  });

  it(`form no circle and at most ${levelLimit} levels`, () => {
    const { circles, levels } = levelsOf(roomGraph(imports));
    expect(circles).toEqual([]);
    expect(levels.length).toBeLessThanOrEqual(levelLimit);
  });

  it(`leave at most ${rootFileLimit} files at the root of agent/`, () => {
    const files = imports.map(({ from }) => roomOf(from)).filter((room) => /^agent\/[^/]+\.ts$/.test(room));
    expect(new Set(files).size).toBeLessThanOrEqual(rootFileLimit);
  });
});

describe('packages', () => {
  it('of native code and Kubernetes are imported in one place each', () => {
    const wrong = imports.filter(({ from, target }) => {
      const homes = Object.entries(packageHomes).find(([name]) => within(target, name))?.[1];
      return homes !== undefined && !homes.some((home) => within(from, home));
    });
    expect(wrong.map(show)).toEqual([]);
  });

  it('are not imported by the schemas and the document builder', () => {
    const wrong = imports.filter((each) => {
      const folder = Object.keys(allowedPackages).find((key) => within(each.from, key));
      const allowed = folder === undefined ? undefined : allowedPackages[folder];
      return allowed !== undefined && !isOurs(each) && !isBuiltIn(each) && !allowed.includes(each.target);
    });
    expect(wrong.map(show)).toEqual([]);
  });
});
