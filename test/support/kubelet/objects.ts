// Parses the parts of Pods, Services and EndpointSlices that a kubelet without a container runtime needs.
import { z } from 'zod';
import { objectMeta } from '../../../crds/object.ts';

const stored = objectMeta.extend({
  uid: z.string(),
  resourceVersion: z.string(),
  generation: z.number().default(0),
  deletionGracePeriodSeconds: z.number().optional(),
});

const port = z.union([z.int(), z.string()]);

const probe = z.object({
  httpGet: z
    .object({ host: z.string().optional(), path: z.string().default('/'), port, scheme: z.string().default('HTTP') })
    .optional(),
  tcpSocket: z.object({ port }).optional(),
  exec: z.object({ command: z.array(z.string()) }).optional(),
  initialDelaySeconds: z.number().default(0),
  periodSeconds: z.number().default(10),
  timeoutSeconds: z.number().default(1),
  successThreshold: z.number().default(1),
  failureThreshold: z.number().default(3),
});
export type Probe = z.infer<typeof probe>;

const keyOf = z.object({ name: z.string(), key: z.string(), optional: z.boolean().default(false) });
const environmentVariable = z.object({
  name: z.string(),
  value: z.string().optional(),
  valueFrom: z
    .object({
      fieldRef: z.object({ fieldPath: z.string() }).optional(),
      configMapKeyRef: keyOf.optional(),
      secretKeyRef: keyOf.optional(),
    })
    .optional(),
});
export type EnvironmentVariable = z.infer<typeof environmentVariable>;

const container = z.object({
  name: z.string(),
  image: z.string(),
  command: z.array(z.string()).default([]),
  args: z.array(z.string()).default([]),
  env: z.array(environmentVariable).default([]),
  ports: z.array(z.object({ name: z.string().optional(), containerPort: z.int() })).default([]),
  volumeMounts: z
    .array(z.object({ name: z.string(), mountPath: z.string(), readOnly: z.boolean().default(false) }))
    .default([]),
  startupProbe: probe.optional(),
  livenessProbe: probe.optional(),
  readinessProbe: probe.optional(),
  securityContext: z
    .object({ readOnlyRootFilesystem: z.boolean().default(false), runAsUser: z.int().optional() })
    .default({ readOnlyRootFilesystem: false }),
});
export type ContainerSpec = z.infer<typeof container>;

const items = z.array(z.object({ key: z.string(), path: z.string() })).optional();
const optional = z.boolean().default(false);
const field = z.object({ path: z.string(), fieldRef: z.object({ fieldPath: z.string() }) });
const source = z.object({
  serviceAccountToken: z
    .object({ path: z.string(), audience: z.string().optional(), expirationSeconds: z.number().default(3600) })
    .optional(),
  configMap: z.object({ name: z.string(), items, optional }).optional(),
  secret: z.object({ name: z.string(), items, optional }).optional(),
  downwardAPI: z.object({ items: z.array(field) }).optional(),
});
export type ProjectedSource = z.infer<typeof source>;

const volume = z.object({
  name: z.string(),
  emptyDir: z.looseObject({}).optional(),
  hostPath: z.object({ path: z.string() }).optional(),
  configMap: z.object({ name: z.string(), items, optional }).optional(),
  secret: z.object({ secretName: z.string(), items, optional }).optional(),
  projected: z.object({ sources: z.array(source) }).optional(),
});
export type Volume = z.infer<typeof volume>;

const nodeFields = z.object({
  matchFields: z.array(z.object({ key: z.string(), operator: z.string(), values: z.array(z.string()) })).default([]),
});

const pod = z.object({
  metadata: stored,
  spec: z.object({
    nodeName: z.string().optional(),
    nodeSelector: z.record(z.string(), z.string()).default({}),
    affinity: z
      .object({
        nodeAffinity: z
          .object({
            requiredDuringSchedulingIgnoredDuringExecution: z
              .object({ nodeSelectorTerms: z.array(nodeFields) })
              .optional(),
          })
          .optional(),
      })
      .optional(),
    serviceAccountName: z.string().default('default'),
    restartPolicy: z.enum(['Always', 'OnFailure', 'Never']).default('Always'),
    hostNetwork: z.boolean().default(false),
    enableServiceLinks: z.boolean().default(true),
    terminationGracePeriodSeconds: z.number().default(30),
    securityContext: z
      .object({
        runAsUser: z.int().optional(),
        windowsOptions: z.object({ hostProcess: z.boolean().default(false) }).optional(),
      })
      .default({}),
    initContainers: z.array(container).default([]),
    containers: z.array(container),
    volumes: z.array(volume).default([]),
  }),
});
export type Pod = z.infer<typeof pod>;

const service = z.object({
  metadata: stored,
  spec: z.object({
    clusterIP: z.string().default(''),
    ports: z.array(z.object({ name: z.string().default(''), port: z.int() })).default([]),
  }),
});
export type Service = z.infer<typeof service>;

const endpointSlice = z.object({
  metadata: stored,
  endpoints: z
    .array(
      z.object({
        addresses: z.array(z.string()),
        conditions: z.object({ ready: z.boolean().default(true) }).default({ ready: true }),
      }),
    )
    .nullable()
    .transform((given) => given ?? []),
  ports: z
    .array(z.object({ name: z.string().default(''), port: z.int().optional() }))
    .nullable()
    .default([])
    .transform((given) => given ?? []),
});
export type EndpointSlice = z.infer<typeof endpointSlice>;

export const parsePod = (raw: unknown) => pod.safeParse(raw).data;
export const parseService = (raw: unknown) => service.safeParse(raw).data;
export const parseEndpointSlice = (raw: unknown) => endpointSlice.safeParse(raw).data;

/** A field of the pod, by its name in the downward API. */
export function fieldOf({ metadata, spec }: Pod, path: string, addresses: { pod: string; host: string }): string {
  const fields: Readonly<Record<string, string | undefined>> = {
    'metadata.name': metadata.name,
    'metadata.namespace': metadata.namespace,
    'metadata.uid': metadata.uid,
    'spec.nodeName': spec.nodeName,
    'spec.serviceAccountName': spec.serviceAccountName,
    'status.podIP': addresses.pod,
    'status.hostIP': addresses.host,
  };
  const value = fields[path];
  if (value === undefined) throw new Error(`field ${path} is not known to this kubelet`);
  return value;
}
