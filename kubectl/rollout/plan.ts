// `kubectl luvm rollout plan`: what a manifest would do to the VMs of a set. The API server says what the set would be, by a
// dry run, and the plan of the operator says the rest. Nothing is stored.

import { plainText } from '../../runtime/plain-text.ts';
import { ApiFailure } from '../api.ts';
import { type CommandPorts, exitCodes } from '../commands.ts';
import { written } from '../output.ts';
import { showLines, writeTo } from '../terminal.ts';
import { type Forecast, forecast } from './forecast.ts';
import { forecastLines } from './forecast-text.ts';
import { type ApplyOptions, applied, type Manifest, manifestsIn } from './manifests.ts';
import { type Member, membersOf, parseSet, revisionsOf, setPath } from './objects.ts';

export interface PlanOptions extends ApplyOptions {
  /** `-` for standard input. */
  readonly file: string;
  /** The namespace that the user named, if any. */
  readonly namespace?: string | undefined;
  readonly output?: 'json' | 'yaml' | undefined;
  readonly readFile: (path: string) => Promise<string>;
}

const maximumBytes = 16 << 20;

/** Ends with 1 if a set would stall. */
export async function rolloutPlan(options: PlanOptions, ports: CommandPorts): Promise<number> {
  const { terminal } = ports;
  const { file, output } = options;
  const text = file === '-' ? await inputOf(ports) : await options.readFile(file);
  const forecasts: Forecast[] = [];
  for (const manifest of manifestsIn(text, file === '-' ? 'the input' : file)) {
    forecasts.push(await forecastOf(manifest, options, ports));
  }
  if (output !== undefined) {
    const [first] = forecasts;
    await showLines(terminal, Buffer.from(await written(output, forecasts.length === 1 ? first : forecasts)));
  } else {
    const lines = forecasts.map((each) => forecastLines(each).map(plainText).join('\n'));
    await writeTo(terminal.output, `${lines.join('\n\n')}\n`);
  }
  const stalls = forecasts.some(({ problem, refused }) => problem !== undefined || refused.length > 0);
  return stalls ? exitCodes.failed : exitCodes.ok;
}

async function inputOf({ terminal: { input } }: CommandPorts): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of input) {
    const part = Buffer.from(chunk);
    bytes += part.length;
    if (bytes > maximumBytes) throw new Error('the input is too long');
    chunks.push(part);
  }
  return Buffer.concat(chunks).toString('utf8');
}

async function forecastOf(manifest: Manifest, options: PlanOptions, ports: CommandPorts): Promise<Forecast> {
  const { api, clock } = ports;
  const { name, namespace = api.namespace } = manifest.metadata;
  if (options.namespace !== undefined && options.namespace !== namespace) {
    throw new Error(`the manifest of "${name}" names the namespace "${namespace}", and -n "${options.namespace}"`);
  }
  const present = await api.json({ path: setPath(namespace, name) }).catch((error: unknown) => {
    if (error instanceof ApiFailure && error.code === 404 && error.reason === 'NotFound') return undefined;
    throw error;
  });
  const after = parseSet(await applied(api, namespace, manifest, present, options));
  if (present === undefined)
    return forecast({ before: undefined, after, members: [], revisions: [], now: clock.now() });
  const before = parseSet(present);
  const members: Member[] = [];
  for await (const member of membersOf(api, before)) members.push(member);
  return forecast({ before, after, members, revisions: await revisionsOf(api, before), now: clock.now() });
}
