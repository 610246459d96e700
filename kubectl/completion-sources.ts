// What completion asks the kubeconfig and the API server for. A shell waits for the answer, so it comes soon or not.
import type { Clock } from '../runtime/clock.ts';
import { timeoutSignal } from '../runtime/clock.ts';
import { Api } from './api.ts';
import { type ClusterChoice, kubeconfigNames, loadCluster } from './cluster.ts';
import type { CompletedFlags, CompletionSources } from './complete.ts';
import { machinesPath, namespacesPath, objectNames, setsPath } from './machines.ts';

const milliseconds = 2_000;

export function completionSources(clock: Clock): CompletionSources {
  const names = (api: Api, path: string) => objectNames(api, path, { signal: timeoutSignal(clock, milliseconds) });
  return {
    machines: async (flags) => {
      const api = new Api(loadCluster(choiceOf(flags)));
      return await names(api, machinesPath(api.namespace));
    },
    sets: async (flags) => {
      const api = new Api(loadCluster(choiceOf(flags)));
      return await names(api, setsPath(api.namespace));
    },
    namespaces: async (flags) => await names(new Api(loadCluster(choiceOf(flags))), namespacesPath),
    kubeconfig: async (kind, flags) => kubeconfigNames(choiceOf(flags))[kind],
  };
}

function choiceOf({ as, cluster, context, kubeconfig, namespace, user }: CompletedFlags): ClusterChoice {
  const given = { as, cluster, context, kubeconfig, namespace, user };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}
