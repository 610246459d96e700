// The cluster that the user's kubeconfig names, and as whom requests are made. Only the configuration and authentication
// of client-node are used, so only that module is loaded. Requests go through Node's own HTTPS and WebSockets.
import type { OutgoingHttpHeaders } from 'node:http';
import type https from 'node:https';
import { KubeConfig } from '@kubernetes/client-node/dist/config.js';

/** kubectl's own flags. */
export interface ClusterChoice {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly cluster?: string;
  readonly user?: string;
  readonly namespace?: string;
  readonly as?: string;
  readonly asGroup?: readonly string[];
  readonly asUid?: string;
}

export interface Cluster {
  readonly server: URL;
  readonly namespace: string;
  /** TLS, headers and proxy, with current credentials. */
  connection(): Promise<https.RequestOptions>;
}

export function loadCluster(choice: ClusterChoice): Cluster {
  const config = loadConfig(choice);
  const { name } = chooseContext(config, choice);
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new Error('the kubeconfig has no current cluster');
  const impersonation = impersonationOf(choice);
  return {
    server: new URL(cluster.server),
    namespace: choice.namespace ?? config.getContextObject(name)?.namespace ?? 'default',
    async connection() {
      const options: https.RequestOptions & { headers?: OutgoingHttpHeaders } = {};
      await config.applyToHTTPSOptions(options);
      return { ...options, headers: { ...options.headers, ...impersonation } };
    },
  };
}

/** The names in the kubeconfig that a flag can take. */
export function kubeconfigNames(
  choice: ClusterChoice,
): Readonly<Record<'contexts' | 'clusters' | 'users', readonly string[]>> {
  const config = loadConfig(choice);
  const names = (entries: readonly { readonly name: string }[]) => entries.map(({ name }) => name);
  return {
    contexts: names(config.getContexts()),
    clusters: names(config.getClusters()),
    users: names(config.getUsers()),
  };
}

function loadConfig({ kubeconfig }: ClusterChoice): KubeConfig {
  const config = new KubeConfig();
  if (kubeconfig === undefined) config.loadFromDefault();
  else config.loadFromFile(kubeconfig);
  return config;
}

/** A context of the kubeconfig, or a new one in which another cluster or user replaces that of the context. */
function chooseContext(config: KubeConfig, { cluster, context, user }: ClusterChoice): { readonly name: string } {
  if (context !== undefined) {
    if (config.getContextObject(context) === null) throw new Error(`the kubeconfig has no context "${context}"`);
    config.setCurrentContext(context);
  }
  if (cluster !== undefined && config.getCluster(cluster) === null) {
    throw new Error(`the kubeconfig has no cluster "${cluster}"`);
  }
  if (user !== undefined && config.getUser(user) === null) throw new Error(`the kubeconfig has no user "${user}"`);
  const chosen = config.getContextObject(config.getCurrentContext());
  if (cluster !== undefined || user !== undefined) {
    const changed = { ...(chosen ?? { cluster: '', user: '' }), ...(cluster && { cluster }), ...(user && { user }) };
    config.addContext({ ...changed, name: 'chosen by flags' });
    config.setCurrentContext('chosen by flags');
  }
  return { name: config.getCurrentContext() };
}

function impersonationOf({ as, asGroup = [], asUid }: ClusterChoice): OutgoingHttpHeaders {
  if (as === undefined) {
    if (asGroup.length > 0 || asUid !== undefined) throw new Error('--as-group and --as-uid need --as');
    return {};
  }
  return {
    'Impersonate-User': as,
    ...(asGroup.length > 0 && { 'Impersonate-Group': [...asGroup] }),
    ...(asUid !== undefined && { 'Impersonate-Uid': asUid }),
  };
}
