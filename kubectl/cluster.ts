// The cluster that the user's kubeconfig names. Only the configuration and authentication of client-node are used.
// Requests go through Node's own HTTPS and WebSockets.
import type https from 'node:https';
import { KubeConfig } from '@kubernetes/client-node';

export interface ClusterChoice {
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly namespace?: string;
}

export interface Cluster {
  readonly server: URL;
  readonly namespace: string;
  /** TLS, headers and proxy, with current credentials. */
  connection(): Promise<https.RequestOptions>;
}

export function loadCluster({ context, kubeconfig, namespace }: ClusterChoice): Cluster {
  const config = new KubeConfig();
  if (kubeconfig === undefined) config.loadFromDefault();
  else config.loadFromFile(kubeconfig);
  if (context !== undefined) {
    if (config.getContextObject(context) === null) throw new Error(`the kubeconfig has no context "${context}"`);
    config.setCurrentContext(context);
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new Error('the kubeconfig has no current cluster');
  return {
    server: new URL(cluster.server),
    namespace: namespace ?? config.getContextObject(config.getCurrentContext())?.namespace ?? 'default',
    async connection() {
      const options: https.RequestOptions = {};
      await config.applyToHTTPSOptions(options);
      return options;
    },
  };
}
