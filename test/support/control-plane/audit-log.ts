// The API server's own audit log: who wrote what, in the order of the writes. It is independent evidence.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';

const entry = z.object({
  stage: z.string(),
  verb: z.string(),
  userAgent: z.string().default(''),
  objectRef: z
    .object({
      resource: z.string(),
      subresource: z.string().optional(),
      namespace: z.string().optional(),
      name: z.string().optional(),
      apiGroup: z.string().default(''),
    })
    .optional(),
  responseStatus: z.object({ code: z.number() }),
  responseObject: z.unknown().optional(),
});

export interface AuditedWrite {
  readonly verb: string;
  readonly userAgent: string;
  readonly resource: string;
  readonly subresource: string | undefined;
  readonly name: string;
  readonly code: number;
  /** The answer: the object after the write, or the reason of a refusal. */
  readonly response: unknown;
}

const policy = {
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived', 'ResponseStarted'],
  rules: [
    {
      level: 'RequestResponse',
      verbs: ['create', 'update', 'patch', 'delete'],
      resources: [{ group: 'lcow.dev' }, { group: 'events.k8s.io' }, { group: 'coordination.k8s.io' }],
    },
    { level: 'None' },
  ],
};

export class AuditLog {
  readonly flags: Readonly<Record<string, string>>;
  readonly #policyPath: string;
  readonly #logPath: string;

  constructor(directory: string) {
    this.#policyPath = join(directory, 'audit-policy.json');
    this.#logPath = join(directory, 'audit.log');
    // A write is answered only after its line was written, so the log is never behind.
    this.flags = {
      'audit-policy-file': this.#policyPath,
      'audit-log-path': this.#logPath,
      'audit-log-mode': 'blocking-strict',
    };
  }

  async writePolicy(): Promise<void> {
    await writeFile(this.#policyPath, JSON.stringify(policy));
  }

  /** Successful and failed writes of our kinds, Events and Leases, oldest first. */
  async writes(): Promise<readonly AuditedWrite[]> {
    const text = await readFile(this.#logPath, 'utf8');
    const lines = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
    return lines.flatMap((line) => (line === '' ? [] : written(entry.parse(JSON.parse(line)))));
  }
}

function written({ verb, userAgent, objectRef, responseStatus, responseObject }: z.infer<typeof entry>) {
  if (objectRef === undefined) return [];
  const { resource, subresource, name = nameOf(responseObject) } = objectRef;
  return [{ verb, userAgent, resource, subresource, name, code: responseStatus.code, response: responseObject }];
}

const named = z.object({ metadata: z.object({ name: z.string() }) });

/** The name of a created object, which the request's path does not contain. */
function nameOf(response: unknown): string {
  return named.safeParse(response).data?.metadata.name ?? '';
}
