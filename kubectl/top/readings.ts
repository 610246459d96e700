// Asks the agents for the use of VMs: a few at once, so that a large fleet does not flood the API server.
import { type MachineUsage, machineUsage, subresourcePath } from '../../protocol/subresources.ts';
import { messageOf } from '../../runtime/error-text.ts';
import type { Api } from '../api.ts';
import type { RunningMachine } from './machine-load.ts';

const atOnce = 8;
/** More are listed, but not measured. */
export const mostMeasured = 500;

export interface Readings {
  /** By `namespace/name`. */
  readonly usage: ReadonlyMap<string, MachineUsage>;
  /** Why VMs that run have no reading, each reason once. */
  readonly problems: ReadonlySet<string>;
}

export const keyOf = ({ metadata: { name, namespace } }: RunningMachine) => `${namespace}/${name}`;

export async function readUsage(api: Api, machines: readonly RunningMachine[]): Promise<Readings> {
  const running = machines.filter(({ status }) => status.phase === 'Running');
  const waiting = running.slice(0, mostMeasured);
  const usage = new Map<string, MachineUsage>();
  const problems = new Set<string>();
  if (running.length > mostMeasured) {
    problems.add(`only ${mostMeasured} of ${running.length} VMs that run are measured: select fewer with -l`);
  }
  const work = async () => {
    for (let machine = waiting.pop(); machine !== undefined; machine = waiting.pop()) {
      const { name, namespace } = machine.metadata;
      try {
        const answer = await api.json({ path: subresourcePath(namespace, name, 'usage') });
        usage.set(keyOf(machine), machineUsage.parse(answer));
      } catch (error) {
        problems.add(messageOf(error));
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return { usage, problems };
}
