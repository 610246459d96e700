// Situations of objects, with the verdicts that other tools have to give.
import type { KStatus } from './kstatus.ts';

/** The words of Argo CD for the health of an object. */
export type ArgoHealth = 'Healthy' | 'Progressing' | 'Degraded' | 'Suspended';

/** The part of an object by which it is judged, as the operator leaves it. */
export interface JudgedObject {
  readonly metadata: {
    readonly name: string;
    readonly generation: number;
    readonly annotations?: Readonly<Record<string, string>> | undefined;
    readonly deletionTimestamp?: string | undefined;
  };
  readonly status: { readonly observedGeneration?: number | undefined };
}

export interface Situation {
  readonly name: string;
  readonly object: JudgedObject;
  readonly kstatus: KStatus;
  readonly argo: ArgoHealth;
}

/**
 * What Flux's health check expressions have to say, in the words of kstatus. Flux knows no "terminating" there: it waits
 * for an object that is being deleted as for one that is in progress.
 */
export function fluxVerdict({ kstatus }: Situation): KStatus {
  return kstatus === 'Terminating' ? 'InProgress' : kstatus;
}
