// The Node options from the agent's chart, so that a bench measures the agent as it is installed.
import { readFileSync } from 'node:fs';

const template = new URL('../../charts/lcow-agent/templates/daemonset.yaml', import.meta.url);

export const chartNodeOptions: string = read();

function read(): string {
  const options = /- name: NODE_OPTIONS\s+value: (\S.*)/.exec(readFileSync(template, 'utf8'))?.[1];
  if (options === undefined) throw new Error('the chart sets no NODE_OPTIONS');
  return options;
}
