// The aggregated API of an operator that runs as a process on this computer: the API server reaches it through a
// Service of type ExternalName.

const [namespace, service] = ['default', 'lcow-operator'];
export const apiServiceName = 'v1alpha1.subresources.lcow.dev';

/** @param caBundle PEM in base64 */
export function apiServiceObjects(port: number, caBundle: string): object {
  return {
    apiVersion: 'v1',
    kind: 'List',
    items: [
      {
        apiVersion: 'v1',
        kind: 'Service',
        metadata: { name: service, namespace },
        spec: { type: 'ExternalName', externalName: 'localhost', ports: [{ port }] },
      },
      {
        apiVersion: 'apiregistration.k8s.io/v1',
        kind: 'APIService',
        metadata: { name: apiServiceName },
        spec: {
          group: 'subresources.lcow.dev',
          version: 'v1alpha1',
          groupPriorityMinimum: 100,
          versionPriority: 15,
          caBundle,
          service: { name: service, namespace, port },
        },
      },
    ],
  };
}
