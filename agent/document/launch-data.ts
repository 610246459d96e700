// LaunchData: the digest of the security policy that the guest is measured with (docs/reference/hcs-documents.md §7.5).
import { hash } from 'node:crypto';
import { base64Error } from './base64.ts';
import { DocumentError } from './outcome.ts';

/** SHA-256 of the decoded policy bytes, as base64. */
export function launchData(securityPolicy: string): string {
  const offset = base64Error(securityPolicy);
  if (offset !== undefined) {
    throw new DocumentError(
      'InvalidSecurityPolicy',
      `failed to decode base64 security policy: illegal base64 data at input byte ${offset}`,
    );
  }
  return hash('sha256', Buffer.from(securityPolicy, 'base64'), 'base64');
}
