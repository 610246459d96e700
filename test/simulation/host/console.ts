// The consoles of a simulated host's guests: a terminal that asks who the user is.
import { z } from 'zod';
import type { ReadConsole } from '../../../agent/node/node.ts';
import type { SimulatedNode } from '../../../simulator/service/node.ts';

const document = z.object({
  VirtualMachine: z.object({
    Devices: z.object({
      ComPorts: z.record(z.string(), z.object({ NamedPipe: z.string().optional() })).default({}),
    }),
  }),
});

const prompt = '\r\nsimulated Linux ttyS0\r\n\r\nlogin: ';

export function consoleReader(node: SimulatedNode): ReadConsole {
  return async function* read(pipe, signal) {
    const isThere = node.details().some(({ document: text, state }) => state === 'Running' && pipesOf(text).has(pipe));
    if (isThere) yield Buffer.from(prompt);
    await aborted(signal);
  };
}

function pipesOf(text: string): ReadonlySet<string> {
  const parsed = document.safeParse(JSON.parse(text));
  const ports = Object.values(parsed.data?.VirtualMachine.Devices.ComPorts ?? {});
  return new Set(ports.map(({ NamedPipe }) => NamedPipe ?? ''));
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
