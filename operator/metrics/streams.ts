// Metrics of the streams between users and VMs (`kubectl luvm`): open, carried and refused.
import { Counter, Gauge, type Registry } from 'prom-client';
import { type StreamCounts, streamKinds } from '../subresources/stream-counts.ts';

export function registerStreamMetrics(registry: Registry, counts: StreamCounts): void {
  const registers = [registry];
  new Gauge({
    name: 'lcow_streams',
    help: 'Streams of users to VMs that are open.',
    labelNames: ['kind'],
    registers,
    collect() {
      for (const kind of streamKinds) this.set({ kind }, counts.openOf(kind));
    },
  });
  new Counter({
    name: 'lcow_stream_bytes_total',
    help: 'Bytes that streams received from VMs and sent to them.',
    labelNames: ['kind', 'direction'],
    registers,
    collect() {
      this.reset();
      for (const kind of streamKinds) {
        const { received, sent } = counts.bytesOf(kind);
        this.inc({ kind, direction: 'received' }, received);
        this.inc({ kind, direction: 'sent' }, sent);
      }
    },
  });
  new Counter({
    name: 'lcow_streams_refused_total',
    help: 'Streams that users asked for and did not get.',
    labelNames: ['reason'],
    registers,
    collect() {
      this.reset();
      for (const [reason, count] of counts.refused) this.inc({ reason }, count);
    },
  });
}
