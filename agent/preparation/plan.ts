// What has to be done to boot a VM once, worked out before anything is touched.

import type { Applied } from './applied.ts';
import type { WantedResources } from './host-resources.ts';

/** An effect on the host's files, in the order in which the original makes them (hcs-documents §7.1). */
export type StagingStep =
  | { readonly kind: 'copy'; readonly from: string; readonly to: string; readonly errorPrefix: string }
  | { readonly kind: 'grant'; readonly path: string; readonly errorPrefix: string };

export interface BootPlan {
  /** The document as it is handed to HCS, to the byte. */
  readonly document: string;
  readonly staging: readonly StagingStep[];
  readonly applied: Applied;
  /** What of the host the VM uses, to be reserved before anything else is done. */
  readonly uses: WantedResources;
  /** Sent to the guest once its bridge is up. */
  readonly policy: GuestPolicy | undefined;
}

export interface GuestPolicy {
  readonly enforcerType: string;
  /** Base64, exactly the text whose bytes were digested. */
  readonly encodedSecurityPolicy: string;
  /** The signed reference measurements of the boot files in base64, in both forms; empty for a file that is not there. */
  readonly encodedUVMReference: string;
  readonly encodedUVMHashEnvelopeReference: string;
}
