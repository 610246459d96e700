// Adds and removes the golden network adapters and compares what host and guest are asked for, to the byte
// (network-adapters.md): `node test/golden/network-adapters.ts FILE…`, a JSON array or one case per line.
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { escapeMarkup } from '../../agent/document/document-text.ts';
import { GuestRefusal } from '../../agent/guest/bridge/errors.ts';
import { modificationRequest } from '../../agent/guest/bridge/guest-modification.ts';
import {
  applyChange,
  type Change,
  type ChangeTarget,
  modifyDocument,
  saying,
} from '../../agent/modification/document.ts';
import { type AdapterGuest, addAdapter, removeAdapter } from '../../agent/modification/network-adapters.ts';
import { EndpointUnreadable, readEndpoint, type ToldEndpoint, withOverhead } from '../../agent/network/endpoint.ts';
import { casesIn } from './case-file.ts';

const step = z.object({ to: z.enum(['hcs', 'guest']), text: z.string() });
type Step = z.infer<typeof step>;

const adapterCase = z.object({
  name: z.string(),
  op: z.enum(['add', 'remove']),
  nicId: z.string(),
  endpoint: z.string(),
  policyBasedRouting: z.boolean().default(false),
  guestNamespaces: z.boolean().default(true),
  hostFails: z.boolean().default(false),
  guestFails: z.boolean().default(false),
  api: z.literal('controller').optional(),
  namespaceId: z.string().optional(),
  odd: z.boolean().default(false),
  expect: z.union([
    z.object({ decodeError: z.string() }),
    z.object({ steps: z.array(step).default([]), error: z.string().optional() }),
  ]),
});
export type AdapterCase = z.infer<typeof adapterCase>;

export function readAdapterCases(text: string): AdapterCase[] {
  return z.array(adapterCase).parse(casesIn(text));
}

type Outcome = { readonly unreadable: true } | { readonly steps: readonly Step[]; readonly error: string | undefined };

/** The end of a message about a malformed policy is in the words of the original's decoder. */
function withoutOwnWording(error: string | undefined): string | undefined {
  return error?.replace(/(?<=unmarshal encap overhead policy setting: ).*/s, '');
}

/** What differs, or undefined. */
export async function difference(testCase: AdapterCase): Promise<string | undefined> {
  const { expect } = testCase;
  const expected: Outcome =
    'decodeError' in expect ? { unreadable: true } : { steps: expect.steps, error: withoutOwnWording(expect.error) };
  const actual = await outcomeOf(testCase);
  if (isDeepStrictEqual(actual, expected)) return undefined;
  return `expected ${JSON.stringify(expected)}\n       got ${JSON.stringify(actual)}`;
}

async function outcomeOf(testCase: AdapterCase): Promise<Outcome> {
  const steps: Step[] = [];
  try {
    const endpoint = readEndpoint(testCase.endpoint);
    const change = testCase.api === 'controller' ? inHalves : inOneChange;
    const error = await change(testCase, endpoint, new Ends(testCase, steps)).then(
      () => undefined,
      ({ message }: Error) => withoutOwnWording(message),
    );
    return { steps, error };
  } catch (error) {
    if (error instanceof EndpointUnreadable) return { unreadable: true };
    throw error;
  }
}

/** Records every request. Either end refuses all of them, or none. */
class Ends implements ChangeTarget {
  readonly #case: AdapterCase;
  readonly #steps: Step[];

  constructor(testCase: AdapterCase, steps: Step[]) {
    this.#case = testCase;
    this.#steps = steps;
  }

  readonly host = async (text: string): Promise<void> => {
    this.#steps.push({ to: 'hcs', text });
    if (this.#case.hostFails) throw new Error('host says no');
  };

  readonly guest: ChangeTarget['guest'] = async (modification) => {
    // The recording is of the request by itself, in which marks are escaped. Frames do not escape (bridge-frames.json).
    const text = escapeMarkup(JSON.stringify(modificationRequest(modification)));
    this.#steps.push({ to: 'guest', text });
    if (this.#case.guestFails) throw new GuestRefusal(0x8000_4005, 'guest says no');
  };
}

type Way = (testCase: AdapterCase, endpoint: ToldEndpoint, ends: Ends) => Promise<void>;

function guestOf({ guestNamespaces, policyBasedRouting }: AdapterCase): AdapterGuest {
  return { hasNamespaces: guestNamespaces, policyBasedRouting };
}

const inOneChange: Way = async (testCase, endpoint, ends) => {
  const { nicId, op } = testCase;
  const guest = guestOf(testCase);
  const change =
    op === 'add'
      ? addAdapter(nicId, withOverhead(endpoint), guest)
      : removeAdapter(nicId, { ...endpoint, encapOverhead: 0 }, guest);
  await applyChange(change, ends, () => undefined);
};

/** The original's controller asks host and guest by itself, and leaves it to the caller to undo the first half. */
const inHalves: Way = async (testCase, told, ends) => {
  const { nicId, op } = testCase;
  const endpoint = { ...told, namespaceId: testCase.namespaceId ?? told.namespaceId };
  const guest = guestOf(testCase);
  const bare = { ...endpoint, encapOverhead: 0 };
  if (op === 'add') {
    const toHost = `add NIC ${nicId} to host (endpoint ${told.id}): failed to add NIC ${nicId}`;
    await askHost(addAdapter(nicId, bare, guest), ends, toHost);
    if (!guest.hasNamespaces) return;
    const change = await saying(`build LCOW network adapter for endpoint ${told.id}`, async () =>
      addAdapter(nicId, withOverhead(endpoint), guest),
    );
    const toGuest = `add NIC ${nicId} to guest (endpoint ${told.id}): failed to add network interface for lcow`;
    await askGuest(change, ends, toGuest);
  } else {
    const change = removeAdapter(nicId, bare, guest);
    await askGuest(change, ends, `remove NIC ${nicId} from guest: failed to remove network interface for lcow`);
    await askHost(change, ends, `remove NIC ${nicId} from host (endpoint ${told.id}): failed to remove NIC ${nicId}`);
  }
};

async function askHost({ host }: Change, ends: Ends, what: string): Promise<void> {
  if (host !== undefined) await saying(what, () => ends.host(modifyDocument(host)));
}

async function askGuest({ guest }: Change, ends: Ends, what: string): Promise<void> {
  if (guest !== undefined) await saying(what, async () => ends.guest?.(guest));
}

async function main(files: readonly string[]): Promise<void> {
  if (files.length === 0) {
    process.stderr.write('usage: node test/golden/network-adapters.ts FILE…\n');
    process.exitCode = 2;
    return;
  }
  const cases = files.flatMap((file) => readAdapterCases(readFileSync(file, 'utf8')));
  let failed = 0;
  for (const testCase of cases) {
    const found = await difference(testCase);
    if (found === undefined) continue;
    failed += 1;
    process.stdout.write(`${testCase.name}${testCase.odd ? ' (odd)' : ''}\n  ${found}\n`);
  }
  process.stdout.write(`${cases.length - failed} passed, ${failed} failed\n`);
  process.exitCode = failed === 0 ? 0 : 1;
}

if (import.meta.main) await main(process.argv.slice(2));
