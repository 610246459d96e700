// The VM in recorded conversations, with the objects that it refers to.
export const recordedVM = [
  {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name: 'recorded-policy', namespace: 'default' },
    data: { policy: Buffer.from('package policy').toString('base64') },
  },
  {
    apiVersion: 'lcow.dev/v1alpha1',
    kind: 'LinuxUtilityVM',
    metadata: { name: 'recorded', namespace: 'default' },
    spec: {
      nodeName: 'win-2025-a',
      memory: { sizeInMB: 512 },
      processor: { count: 2 },
      guest: { logLevel: 'debug' },
      confidential: {
        isolation: 'None',
        securityPolicyFrom: { configMapKeyRef: { name: 'recorded-policy', key: 'policy' } },
      },
    },
  },
] as const;
