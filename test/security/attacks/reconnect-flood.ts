// A node connects, is accepted, and connects again, without end.
import { type Attack, broken } from '../attack.ts';
import { SeizedNode } from '../seized-node.ts';

const milliseconds = 20_000;
/** A dozen at once, and one in ten seconds. */
const most = 12 + 3;

export const reconnectFlood: Attack = {
  name: 'reconnect-flood',
  party: 'agent',
  promise: 'A node that connects again and again gets a dozen sessions, and six a minute after them.',
  short: false,
  async run(target) {
    await using node = await SeizedNode.take(target);
    const end = performance.now() + milliseconds;
    let accepted = 0;
    let attempts = 0;
    while (performance.now() < end) {
      attempts += 1;
      const socket = await node.dial();
      if (socket === undefined) await new Promise((resolve) => setTimeout(resolve, 20));
      else if (await node.welcomed(socket)) accepted += 1;
      socket?.terminate();
    }
    const finding = await node.verdict(`${accepted} sessions of ${attempts} attempts in ${milliseconds / 1_000} s`);
    return accepted <= most ? finding : broken(finding.figure);
  },
};
