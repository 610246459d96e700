// Everything outside that the checks of `lcow-agent doctor` look at, so that a test can be the node.

import type { Assignment, HostFacts } from '../../protocol/messages.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { WindowsHost } from '../node/host.ts';

export interface DoctorSettings {
  readonly operatorUrl?: string;
  readonly tokenFile?: string;
  readonly caFile?: string;
  readonly stateDir: string;
  readonly isolation?: 'snp';
  /** As the agent has them. */
  readonly allowedPath?: readonly string[];
  readonly allowedPipe?: readonly string[];
  readonly allowedDevice?: readonly string[];
  readonly allowedCpuGroup?: readonly string[];
  readonly allowedResourcePartition?: readonly string[];
}

export interface ProgramResult {
  readonly exitCode: number;
  readonly output: string;
}

/** The node's HCS; connecting to it loads native code. */
export interface DoctorHcs {
  /** Both reject with an `HcsError`. */
  processorTopology(): Promise<{ readonly logicalProcessorCount: number }>;
  enumerate(): Promise<readonly unknown[]>;
  close(): Promise<void>;
}

export interface DoctorPorts {
  readonly platform: NodeJS.Platform;
  readonly environment: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readFile(path: string): Promise<string>;
  /** What is wrong with the state folder as it is; undefined for a good one, or none yet. */
  stateFolderProblem(stateDir: string): Promise<string | undefined>;
  /** What the agent of this node was told of its VMs; reads its journals, and changes nothing. */
  assignments?(stateDir: string): Promise<readonly Assignment[]>;
  /** Only on Windows. */
  readonly withFile?: WindowsHost['withFile'];
  /** Only on Windows; a program of System32, which rejects when it cannot be started. */
  run(program: string, parameters: readonly string[]): Promise<ProgramResult>;
  /** Only on Windows. */
  connectHcs(): Promise<DoctorHcs>;
  hostFacts(): Promise<Pick<HostFacts, 'osBuild' | 'bootFiles'>>;
  /** Resolves when the other end is there and, with TLS, is who it should be. */
  connect(url: URL, ca: string | undefined): Promise<void>;
}
