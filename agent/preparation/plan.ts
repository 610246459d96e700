// The complete plan for booting a VM once, made before anything is touched.

import type { Applied } from './applied.ts';
import type { WantedResources } from './host-resources.ts';

/** An action on the host's files, in the original's order (hcs-documents §7.1). */
export type StagingStep =
  | { readonly kind: 'copy'; readonly from: string; readonly to: string; readonly errorPrefix: string }
  | { readonly kind: 'grant'; readonly path: string; readonly errorPrefix: string };

export interface BootPlan {
  /** The exact text of the document for HCS. */
  readonly document: string;
  readonly staging: readonly StagingStep[];
  readonly applied: Applied;
  /** The host resources that the VM uses, to be reserved first. */
  readonly uses: WantedResources;
  /** Sent to the guest once the bridge is up. */
  readonly policy: GuestPolicy | undefined;
  /** Kernel and root file system, for the message about a guest that does not boot. */
  readonly boots: readonly BootedFile[];
}

export interface BootedFile {
  readonly path: string;
  readonly bytes: number;
}

export interface GuestPolicy {
  readonly enforcerType: string;
  /** Base64, exactly the text whose decoded bytes were digested. */
  readonly encodedSecurityPolicy: string;
  /** The signed reference measurements of the boot files in base64, in both forms; empty for a missing file. */
  readonly encodedUVMReference: string;
  readonly encodedUVMHashEnvelopeReference: string;
}
