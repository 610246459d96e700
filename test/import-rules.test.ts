// The import rules of the floor plan (docs/decisions/0001-layout.md): rooms import one way, and each library that opens a
// door to the outside has one home.
import { beforeAll, describe, expect, it } from 'vitest';
import { type Import, isOurs, levelsOf, readImports, roomGraph, roomOf } from './support/import-graph.ts';

/** A room imports only from layers above its own, and from no other room of its own layer. */
const layers: readonly (readonly string[])[] = [
  ['crds', 'runtime'],
  ['protocol', 'agent/bounds', 'agent/document'],
  ['agent/node', 'agent/failure.ts', 'agent/stop-signals.ts', 'agent/thread-pool.ts', 'kubectl', 'operator'],
  ['agent/guest', 'agent/preparation', 'agent/storage', 'agent/metrics'],
  ['agent/guest-log', 'agent/modification', 'agent/run', 'agent/windows', 'simulator/wire'],
  ['agent/vm', 'simulator/client', 'simulator/host-file.ts'],
  ['agent/streams', 'agent/link', 'agent/doctor', 'simulator/guest'],
  ['agent/agent.ts', 'simulator/service'],
  ['agent/commands'],
  ['agent/main.ts', 'simulator/agent.ts', 'simulator/playground'],
];

/** Beyond the layers: what a room must not know, however far below it is. */
const strangers: Readonly<Record<string, readonly string[]>> = {
  operator: ['agent', 'simulator', 'kubectl'],
  // The plugin reaches the operator by the API server only: of both programs it knows what they say, not how they work.
  kubectl: ['agent', 'operator', 'simulator'],
  agent: ['operator', 'simulator', 'kubectl'],
  'agent/windows': ['agent/preparation', 'agent/guest-log', 'agent/run', 'agent/vm'],
  'simulator/wire': ['agent/preparation', 'agent/guest-log', 'agent/run', 'agent/vm'],
  'simulator/client': ['agent/preparation', 'agent/guest-log', 'agent/run', 'agent/vm'],
  'simulator/guest': ['agent/preparation', 'agent/guest-log', 'agent/run', 'agent/vm'],
  'simulator/service': ['agent/preparation', 'agent/guest-log', 'agent/run', 'agent/vm'],
};

/** Only the playground, which starts a whole system, takes the control plane of the tests. */
const importsTests = 'simulator/playground';

/** Packages that only these folders or files may import. */
const packageHomes: Readonly<Record<string, readonly string[]>> = {
  koffi: ['agent/windows'],
  '@kubernetes/client-node': ['operator/kubernetes', 'kubectl/cluster.ts'],
};

/** Packages that a folder may import; absent = any but those with a home elsewhere. */
const allowedPackages: Readonly<Record<string, readonly string[]>> = {
  crds: ['zod', 'yaml'],
  'agent/document': ['zod'],
};

const controllerRooms = ['knowledge', 'status', 'placement', 'instructions'].map(
  (room) => `operator/controller/${room}`,
);

/** What the rooms of the operator may import of each other. Each names rooms that stand above it only, so none is in a circle. */
const operatorRooms: Readonly<Record<string, readonly string[]>> = {
  // Who waits, and whose turn it is.
  'operator/queue': [],
  // The API server: reading, watching, writing, leading.
  'operator/kubernetes': ['operator/queue'],
  'operator/certificates': ['operator/kubernetes'],
  // What is stored of VMs, what agents reported, and what both mean.
  'operator/controller/knowledge': ['operator/kubernetes'],
  // What is written as the status of a VM or host, and when.
  'operator/controller/status': ['operator/controller/knowledge', 'operator/kubernetes', 'operator/queue'],
  // Which host takes a VM, and whether it has to leave it.
  'operator/controller/placement': [
    'operator/controller/knowledge',
    'operator/controller/status',
    'operator/kubernetes',
  ],
  // What an agent is told of a VM.
  'operator/controller/instructions': [
    'operator/controller/knowledge',
    'operator/controller/status',
    'operator/kubernetes',
  ],
  // One pass over one VM or host, and what wakes it.
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
  // What it counts and shows.
  'operator/metrics': [
    'operator/agents',
    'operator/controller',
    'operator/controller/knowledge',
    'operator/kubernetes',
    'operator/subresources',
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
/** Undefined for what is in no layer. */
const layerOf = (file: string) => {
  const index = layers.findIndex((rooms) => rooms.some((room) => within(file, room)));
  return index < 0 ? undefined : index;
};
/** Undefined for what stands at the root of operator/ and puts its rooms together. */
const operatorRoomOf = (file: string) =>
  Object.keys(operatorRooms)
    .filter((room) => within(file, room))
    .sort((a, b) => b.length - a.length)[0];
const ours = () => imports.filter((each) => isOurs(each) && !isOfTests(each));

describe('rooms', () => {
  it('are found at all', () => {
    expect(imports.length).toBeGreaterThan(300);
    expect(imports.some(({ target }) => target === 'zod')).toBe(true);
  });

  it('all have a place in the layers', () => {
    const homeless = ours().flatMap(({ from, target }) => [from, target].filter((file) => layerOf(file) === undefined));
    expect([...new Set(homeless)]).toEqual([]);
  });

  it('import from the layers above their own only', () => {
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

  it('do not know what is none of their business', () => {
    const wrong = ours().filter(({ from, target }) =>
      Object.entries(strangers).some(
        ([room, unknown]) => within(from, room) && unknown.some((folder) => within(target, folder)),
      ),
    );
    expect(wrong.map(show)).toEqual([]);
  });

  it('import nothing of the tests', () => {
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
  it('of native code and Kubernetes have one home each', () => {
    const wrong = imports.filter(({ from, target }) => {
      const homes = Object.entries(packageHomes).find(([name]) => within(target, name))?.[1];
      return homes !== undefined && !homes.some((home) => within(from, home));
    });
    expect(wrong.map(show)).toEqual([]);
  });

  it('stay out of the schemas and the document builder', () => {
    const wrong = imports.filter((each) => {
      const folder = Object.keys(allowedPackages).find((key) => within(each.from, key));
      const allowed = folder === undefined ? undefined : allowedPackages[folder];
      return allowed !== undefined && !isOurs(each) && !isBuiltIn(each) && !allowed.includes(each.target);
    });
    expect(wrong.map(show)).toEqual([]);
  });
});
