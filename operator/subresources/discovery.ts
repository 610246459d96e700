// What the API server and kubectl ask an aggregated API for: which groups, versions and resources there are.
import {
  subresourceGroup,
  subresourceRoot,
  subresources,
  subresourceVersion,
  verbsOf,
} from '../../protocol/subresources.ts';

const groupVersion = `${subresourceGroup}/${subresourceVersion}`;
const version = { groupVersion, version: subresourceVersion };
const group = { name: subresourceGroup, versions: [version], preferredVersion: version };

const resource = { singularName: '', namespaced: true, kind: 'LinuxUtilityVM' };

const documents: ReadonlyMap<string, object> = new Map<string, object>([
  ['/apis', { kind: 'APIGroupList', apiVersion: 'v1', groups: [group] }],
  [`/apis/${subresourceGroup}`, { kind: 'APIGroup', apiVersion: 'v1', ...group }],
  [
    subresourceRoot,
    {
      kind: 'APIResourceList',
      apiVersion: 'v1',
      groupVersion,
      resources: [
        // Nothing can be done with it. kubectl takes no question about a subresource (`auth can-i --subresource`) whose
        // resource it does not find here: it asks about something else then, and the answer is "no".
        { ...resource, name: 'linuxutilityvms', verbs: [] },
        ...subresources.map((name) => ({ ...resource, name: `linuxutilityvms/${name}`, verbs: verbsOf(name) })),
      ],
    },
  ],
  ['/openapi/v3', { paths: {} }],
  ['/openapi/v2', { swagger: '2.0', info: { title: subresourceGroup, version: subresourceVersion }, paths: {} }],
]);

/** @param path as the request has it */
export function discoveryDocument(path: string): object | undefined {
  return documents.get(path);
}
