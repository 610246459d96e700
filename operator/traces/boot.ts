// The boot of a VM as a span, from the times in its status.
import { conditionOf } from '../controller/knowledge/stored-condition.ts';
import type { VirtualMachine } from '../kubernetes/objects.ts';
import { partFrom, type Span, spanAround } from './span.ts';

/**
 * `before` and `after`: the statuses around one write. Undefined unless the VM has come up with it. The first boot
 * begins with the object; only the agent knows when it began a later one, so that one begins once it is prepared.
 */
export function bootSpan(before: VirtualMachine, { metadata, status }: VirtualMachine): Span | undefined {
  const isUp = status.phase === 'Running' && status.startTime !== undefined;
  if (!isUp || status.startTime === before.status.startTime) return undefined;
  const { created, entropy, guestConnected, log, prepared, started } = status.bootTimings ?? {};
  const isFirst = before.status.startTime === undefined;
  const [exists, scheduled] = isFirst
    ? [metadata.creationTimestamp, conditionOf(status.conditions, 'Scheduled')?.lastTransitionTime]
    : [];
  const parts = [
    part('schedule', exists, scheduled),
    part('prepare', scheduled, prepared),
    part('create', prepared, created),
    part('start', created, started),
    // These three run beside each other, in the guest.
    part('entropy', started, entropy),
    part('log', started, log),
    part('guest', started, guestConnected),
  ];
  const attributes = {
    'k8s.namespace.name': metadata.namespace ?? '',
    'k8s.node.name': status.nodeName ?? '',
    'lcow.vm.name': metadata.name,
    'lcow.vm.uid': metadata.uid,
  };
  return spanAround(
    'boot',
    attributes,
    parts.filter((each) => each !== undefined),
  );
}

function part(name: string, start: string | undefined, end: string | undefined): Span | undefined {
  return partFrom(name, Date.parse(start ?? ''), Date.parse(end ?? ''));
}
