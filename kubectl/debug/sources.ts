// What a bug report needs to know about a VM: one file for each question to the API server.
import { z } from 'zod';
import { apiVersion, hostPlural } from '../../crds/names.ts';
import { pathSegment, type Subresource, subresourceGroup, subresourcePath } from '../../protocol/subresources.ts';
import type { Api } from '../api.ts';
import { machinePath } from '../machines.ts';
import { written } from '../output.ts';
import { redacted, redactedText } from './redact.ts';

export interface Source {
  readonly file: string;
  read(): Promise<string>;
}

const machine = z.looseObject({
  metadata: z.looseObject({ uid: z.string() }),
  status: z.looseObject({ nodeName: z.string().optional(), lastNodeName: z.string().optional() }).prefault({}),
});

const logLines = 2_000;
const mostEvents = 500;

/** The VM is read at once: the other questions need what it says. */
export async function sourcesOf(name: string, api: Api): Promise<readonly Source[]> {
  const { namespace } = api;
  const object = await api.json({ path: machinePath(namespace, name) });
  const { metadata, status } = machine.parse(object);
  const node = status.nodeName ?? status.lastNodeName;
  const events = new URLSearchParams({
    fieldSelector: `involvedObject.uid=${metadata.uid}`,
    limit: String(mostEvents),
  });
  return [
    { file: 'vm.yaml', read: async () => await written('yaml', redacted(object)) },
    objectSource('events.yaml', { path: `/api/v1/namespaces/${pathSegment(namespace)}/events`, query: events }, api),
    ...(node === undefined ? [] : hostSources(node, api)),
    objectSource('document.json', { path: subresourcePath(namespace, name, 'document') }, api),
    objectSource('usage.json', { path: subresourcePath(namespace, name, 'usage') }, api),
    textSource('log.txt', 'log', { tailLines: String(logLines) }),
    textSource('previous-log.txt', 'log', { tailLines: String(logLines), previous: 'true' }),
    textSource('stacks.txt', 'stacks', {}),
    objectSource('api-service.yaml', { path: apiServicePath }, api),
    objectSource('server-version.json', { path: '/version' }, api),
  ];

  function textSource(file: string, subresource: Subresource, query: Readonly<Record<string, string>>): Source {
    const request = { path: subresourcePath(namespace, name, subresource), query: new URLSearchParams(query) };
    return { file, read: async () => redactedText(await api.text(request)) };
  }
}

const apiServicePath = `/apis/apiregistration.k8s.io/v1/apiservices/v1alpha1.${subresourceGroup}`;

function objectSource(file: string, request: Parameters<Api['json']>[0], api: Api): Source {
  const format = file.endsWith('.json') ? 'json' : 'yaml';
  return { file, read: async () => await written(format, redacted(await api.json(request))) };
}

function hostSources(node: string, api: Api): readonly Source[] {
  return [
    objectSource('host.yaml', { path: `/apis/${apiVersion}/${hostPlural}/${pathSegment(node)}` }, api),
    objectSource('node.yaml', { path: `/api/v1/nodes/${pathSegment(node)}` }, api),
  ];
}
