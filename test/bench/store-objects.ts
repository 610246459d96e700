// A LinuxUtilityVM as the API server stores it after some time: a complete report, twenty log lines, eight labels, and
// the managed fields of its writers.
const time = '2026-11-24T11:56:41Z';
const precise = '2026-11-24T11:56:41.530456789Z';
const conditions = [
  ['Scheduled', 'Scheduled', 'placed on'],
  ['Prepared', 'Prepared', 'Boot files were found and the document was built.'],
  ['Created', 'Created', 'The compute system exists.'],
  ['GuestConnected', 'Connected', 'The guest is connected.'],
  ['Ready', 'Running', 'The VM runs.'],
] as const;
const hosts = 200;

export function storedMachine(index: number): object {
  const uid = `6a3f2c1e-0b7d-4c55-9a51-${index.toString(16).padStart(12, '0')}`;
  const nodeName = `win-node-${index % hosts}`;
  const name = `machine-${String(index).padStart(5, '0')}`;
  return {
    apiVersion: 'lcow.dev/v1alpha1',
    kind: 'LinuxUtilityVM',
    metadata: {
      name,
      namespace: `team-${index % 50}`,
      uid,
      resourceVersion: String(100_000 + index),
      generation: 1,
      creationTimestamp: time,
      finalizers: ['lcow.dev/teardown'],
      labels: labels(index),
      managedFields: managedFields(),
    },
    spec: {
      memory: { sizeInMB: 512 },
      processor: { count: 2 },
      runStrategy: 'Always',
      updateStrategy: 'OnRestart',
      terminateOnAgentExit: true,
    },
    status: status(uid, nodeName, index),
  };
}

function labels(index: number): Record<string, string> {
  const names = ['name', 'instance', 'version', 'component', 'part-of', 'managed-by', 'tier', 'track'];
  return Object.fromEntries(names.map((name) => [`app.kubernetes.io/${name}`, `value-${index % 97}-of-${name}`]));
}

function status(uid: string, nodeName: string, index: number): object {
  const line = (number: number) =>
    `${precise} info eth0: link up, boot line ${number} of machine ${index}, some hundred characters in all`;
  const lines = Array.from({ length: 20 }, (_, number) => line(number));
  return {
    observedGeneration: 1,
    phase: 'Running',
    nodeName,
    systemID: `luvm-${uid}`,
    runtimeID: uid.replace('6a3f', '7b40'),
    startTime: precise,
    restarts: index % 3,
    lastExit: { type: 'GracefulExit', time: precise, message: 'the guest powered off' },
    documentDigest: digest(index),
    optionsDigest: digest(index + 1),
    processorCount: 2,
    memorySizeInMB: 512,
    guest: {
      osType: 'linux',
      protocolVersion: 4,
      capabilities: ['signalProcess', 'dumpStacks', 'deleteContainerState'],
    },
    guestLog: { head: lines.slice(0, 5), tail: lines.slice(5), total: 120, dropped: 0 },
    bootTimings: {
      prepared: precise,
      created: precise,
      started: precise,
      entropy: precise,
      log: precise,
      guestConnected: precise,
    },
    warnings: ['processor.count was lowered to 2, which is what the host has'],
    devices: { vpmem: [{ slot: 0, path: 'C:\\LinuxBootFiles\\rootfs.vhd' }], scsi: [], assigned: [] },
    conditions: conditions.map(([type, reason, message]) => ({
      type,
      status: 'True',
      reason,
      message: type === 'Scheduled' ? `${message} ${nodeName}` : message,
      lastTransitionTime: time,
      observedGeneration: 1,
    })),
  };
}

function digest(index: number): string {
  return index.toString(16).padStart(64, '5');
}

function managedFields(): readonly object[] {
  const field = (manager: string, names: readonly string[]) => ({
    manager,
    operation: 'Update',
    apiVersion: 'lcow.dev/v1alpha1',
    time,
    fieldsType: 'FieldsV1',
    fieldsV1: Object.fromEntries(names.map((name) => [`f:${name}`, { '.': {}, 'f:a': {}, 'f:b': {} }])),
  });
  return [
    field('kubectl', ['metadata', 'spec', 'labels', 'memory', 'processor']),
    field('lcow-operator', [
      'bootTimings',
      'conditions',
      'devices',
      'guest',
      'guestLog',
      'phase',
      'nodeName',
      'startTime',
    ]),
  ];
}
