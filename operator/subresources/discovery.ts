// Discovery for the API server and kubectl: the groups, versions and resources of this aggregated API.
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
        // The resource itself has no verbs. But kubectl finds a subresource only if its resource is listed here:
        // otherwise `auth can-i --subresource` asks about something else, and the answer is "no".
        { ...resource, name: 'linuxutilityvms', verbs: [] },
        ...subresources.map((name) => ({ ...resource, name: `linuxutilityvms/${name}`, verbs: verbsOf(name) })),
      ],
    },
  ],
  ['/openapi/v3', { paths: {} }],
  ['/openapi/v2', { swagger: '2.0', info: { title: subresourceGroup, version: subresourceVersion }, paths: {} }],
]);

/** @param path the path as requested */
export function discoveryDocument(path: string): object | undefined {
  return documents.get(path);
}
