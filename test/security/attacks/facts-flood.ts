// Host facts of 1 MB, which differ at each reconnect.
import { z } from 'zod';
import { apiVersion } from '../../../crds/names.ts';
import { someHost } from '../../support/operator/scripted-agent.ts';
import { type Attack, broken } from '../attack.ts';
import { hello, SeizedNode } from '../seized-node.ts';

const reconnects = 6;
const mostWrites = 2;
const mostBytes = 48 * 1024;

const stored = z.looseObject({ metadata: z.looseObject({ resourceVersion: z.string(), generation: z.number() }) });

export const factsFlood: Attack = {
  name: 'facts-flood',
  party: 'agent',
  promise: 'Host facts are shortened and stored once a minute, however often the agent connects.',
  short: true,
  async run(target) {
    await using node = await SeizedNode.take(target);
    const read = async () => {
      const path = `/apis/${apiVersion}/linuxutilityvmhosts/${node.name}`;
      const text = await target.kubectl(['get', '--raw', path]);
      return { bytes: text.length, version: stored.parse(JSON.parse(text)).metadata.resourceVersion };
    };
    const versions = new Set([(await read()).version]);
    let largest = 0;
    for (let each = 0; each < reconnects; each += 1) {
      const socket = await node.dial();
      if (socket === undefined || !(await node.welcomed(socket, hello({ host: facts(each) })))) {
        return broken(`connection ${each + 1} was refused`);
      }
      const { bytes, version } = await read();
      versions.add(version);
      largest = Math.max(largest, bytes);
      socket.terminate();
    }
    const finding = await node.verdict(`${versions.size - 1} writes, ${largest} bytes, of ${reconnects} reconnects`);
    const isBounded = versions.size - 1 <= mostWrites && largest <= mostBytes;
    return isBounded ? finding : broken(finding.figure);
  },
};

function facts(each: number) {
  const files = Array.from({ length: 256 }, (_, index) => `${each}-${index}-${'x'.repeat(240)}`);
  const bootFiles = Array.from({ length: 14 }, (_, index) => ({ path: `C:\\${each}\\${index}`, files }));
  return { ...someHost, bootFiles };
}
