// Whether the operator is being uninstalled. Before Helm deletes anything, it creates the ConfigMap of the chart's
// pre-delete hook, and at once deletes it again. Helm deletes the operator's rights before its pods end, so this is the
// only time at which the operator can still write that it will see nothing any more.
//
// Nothing but what host records say may depend on it: whoever may create that ConfigMap must not move or stop a VM.
import type { Clock, Random, Timer } from '../../../runtime/clock.ts';
import type { KubeHttp } from '../../kubernetes/http.ts';
import { parseStored, type Stored } from '../../kubernetes/objects.ts';
import { Reflector, type ReflectorObserver } from '../../kubernetes/reflector.ts';

/** The ConfigMap of the hook. */
export interface UninstallHook {
  readonly namespace: string;
  readonly name: string;
}

export interface UninstallationOptions {
  readonly http: KubeHttp;
  readonly clock: Clock;
  readonly random: Random;
  readonly observer: ReflectorObserver;
  /** Undefined: nobody announces that the operator is uninstalled. */
  readonly hook: UninstallHook | undefined;
}

/** An operator that still runs after this time was not uninstalled. */
export const uninstallationMilliseconds = 60_000;

export class Uninstallation {
  readonly #clock: Clock;
  readonly #hooks: Reflector<Stored> | undefined;
  #changed = () => {};
  #timer: Timer | undefined;

  constructor({ hook, ...options }: UninstallationOptions) {
    this.#clock = options.clock;
    if (hook === undefined) return;
    const path = `/api/v1/namespaces/${encodeURIComponent(hook.namespace)}/configmaps`;
    this.#hooks = new Reflector({
      ...options,
      path,
      fieldSelector: `metadata.name=${hook.name}`,
      parse: parseStored,
    });
    this.#hooks.onChange((change) => {
      // A ConfigMap that an interrupted uninstallation left behind announces nothing.
      if (change.type === 'Applied' && change.appeared === true) this.#begin();
    });
  }

  get isUnderWay(): boolean {
    return this.#timer !== undefined;
  }

  /** `changed`: called whenever `isUnderWay` changes. */
  start(changed: () => void): void {
    this.#changed = changed;
    this.#hooks?.start();
  }

  async stop(): Promise<void> {
    this.#timer?.cancel();
    await this.#hooks?.stop();
  }

  #begin(): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.after(uninstallationMilliseconds, () => {
      this.#timer = undefined;
      this.#changed();
    });
    this.#changed();
  }
}
