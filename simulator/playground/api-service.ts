// The aggregated API of an operator that runs as a process of this machine: a Service of type ExternalName leads the API
// server to it.

const [namespace, service] = ['default', 'lcow-operator'];
export const apiServiceName = 'v1alpha1.subresources.lcow.dev';

/** @param caBundle base64 of PEM */
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
