// Whether the Host Networking Service of the node answers, and which networks it has (docs/networks.md). VMs run without
// it, so nothing here is a failure.
import { counted } from '../../runtime/counted.ts';
import { messageOf } from '../../runtime/error-text.ts';
import { bounded, CallOverdue } from '../bounds/bounded.ts';
import { fixedTimes } from '../bounds/timeouts.ts';
import { HnsError } from '../node/hns-error.ts';
import { type Check, ok, warning } from './check.ts';
import type { DoctorNetworks } from './ports.ts';

/** Networks that the result names. */
const mostNamed = 8;

export const hostNetworks: Check = {
  id: 'host-networks',
  title: 'Host Networking Service',
  needsWindows: true,
  async run(_settings, ports) {
    try {
      const hns = await ports.connectHns();
      return ok(await bounded(ports.clock, fixedTimes.doctor.hns, 'HNS', () => told(hns)));
    } catch (error) {
      return warning(messageOf(error), fixFor(error));
    }
  },
};

async function told(hns: DoctorNetworks): Promise<string> {
  const ids = await hns.networks();
  const { major, minor } = await hns.version();
  const named = await Promise.all(ids.slice(0, mostNamed).map((id) => hns.network(id)));
  const names = named.map(({ name, type }) => `${name} (${type})`).join(', ');
  const more = ids.length > named.length ? ', …' : '';
  const networks = counted(ids.length, 'network');
  return `version ${major}.${minor}, ${networks}${names === '' ? '' : `: ${names}${more}`}`;
}

function fixFor(error: unknown): string {
  if (error instanceof CallOverdue)
    return 'Restart-Service hns, which ends the network adapters of all pods of this node';
  if (!(error instanceof HnsError)) return 'see the message';
  if (error.isAccessDenied) return 'run as SYSTEM, or elevated as a member of Administrators';
  switch (error.reason) {
    case 'HNSUnsupported':
      return 'install the feature Containers or Hyper-V, and restart, if VMs are to have network adapters';
    case 'HNSUnavailable':
      return 'Start-Service hns, and see the event log if it does not stay up';
    default:
      return 'see docs/reference/hns.md for this code';
  }
}
