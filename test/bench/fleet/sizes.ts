// How large the bench is: flags with the sizes of the specification as defaults.

export const fleetFlags = {
  part: { type: 'string', multiple: true },
  report: { type: 'string' },
  profile: { type: 'string' },
  'fleet-vms': { type: 'string', default: '1000' },
  'fleet-agents': { type: 'string', default: '100' },
  'creations-per-second': { type: 'string', default: '10' },
  'boot-milliseconds': { type: 'string', default: '1000' },
  rounds: { type: 'string', default: '2' },
  'idle-agents': { type: 'string', default: '5000' },
  'idle-vms': { type: 'string', default: '1000' },
  'idle-seconds': { type: 'string', default: '600' },
  'settle-seconds': { type: 'string', default: '20' },
} as const;

export interface FleetSizes {
  /** Of the parts `latency`, `throughput` and `changes`. */
  readonly machines: number;
  readonly agents: number;
  readonly creationsPerSecond: number;
  readonly bootMilliseconds: number;
  /** How often the part `throughput` creates all VMs in each way. */
  readonly rounds: number;
  /** Of the part `storm`. */
  readonly idleAgents: number;
  readonly idleMachines: number;
  readonly idleSeconds: number;
  /** Before memory is read. */
  readonly settleSeconds: number;
  /** Of the part `size`. */
  readonly cached: number;
  /** A folder for processor profiles of the operator. */
  readonly profile: string | undefined;
}

export type FleetValues = Readonly<Record<Exclude<keyof typeof fleetFlags, 'part' | 'report' | 'profile'>, string>> & {
  readonly cached: string;
  readonly profile?: string | undefined;
};

/** Throws if one of them is no number above 0. */
export function sizesOf(values: FleetValues): FleetSizes {
  const number = (name: Exclude<keyof FleetValues, 'profile'>) => {
    const value = Number(values[name]);
    if (Number.isFinite(value) && value > 0) return value;
    throw new Error(`--${name} has to be a number above 0`);
  };
  return {
    machines: number('fleet-vms'),
    agents: number('fleet-agents'),
    creationsPerSecond: number('creations-per-second'),
    bootMilliseconds: number('boot-milliseconds'),
    rounds: number('rounds'),
    idleAgents: number('idle-agents'),
    idleMachines: number('idle-vms'),
    idleSeconds: number('idle-seconds'),
    settleSeconds: number('settle-seconds'),
    cached: number('cached'),
    profile: values.profile,
  };
}
