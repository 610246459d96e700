// Everything outside the process that the checks of `lcow-agent doctor` look at, so that a test can simulate the node.

import type { Assignment, HostFacts } from '../../protocol/messages.ts';
import type { Clock } from '../../runtime/clock.ts';
import type { HostNetworks } from '../network/host-networks.ts';
import type { WindowsHost } from '../node/host.ts';

export interface DoctorSettings {
  readonly operatorUrl?: string;
  readonly tokenFile?: string;
  readonly caFile?: string;
  readonly stateDir: string;
  readonly isolation?: 'snp';
  /** In the form of the agent's flags. */
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

/** The node's HNS; connecting to it loads native code. */
export type DoctorNetworks = Pick<HostNetworks, 'version' | 'networks' | 'network'>;

export interface DoctorPorts {
  readonly platform: NodeJS.Platform;
  readonly environment: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readFile(path: string): Promise<string>;
  /** What is wrong with the existing state folder; undefined if it is good or missing. */
  stateFolderProblem(stateDir: string): Promise<string | undefined>;
  /** The assignments of the agent of this node. Reads its journals and changes nothing. */
  assignments?(stateDir: string): Promise<readonly Assignment[]>;
  /** Present on Windows only. */
  readonly withFile?: WindowsHost['withFile'];
  /** Windows only. The access control list of a file in SDDL. */
  fileSecurity(path: string): Promise<string>;
  /** Windows only. Runs a program of System32; rejects when it cannot be started. */
  run(program: string, parameters: readonly string[]): Promise<ProgramResult>;
  /** Windows only. */
  connectHcs(): Promise<DoctorHcs>;
  /** Windows only. */
  connectHns(): Promise<DoctorNetworks>;
  hostFacts(): Promise<Pick<HostFacts, 'osBuild' | 'bootFiles'>>;
  /** Resolves when the other end answers and, with TLS, has proved its identity. */
  connect(url: URL, ca: string | undefined): Promise<void>;
}
