// GUID text (docs/reference/hcs-documents.md §0.5).
import { DocumentError } from './outcome.ts';
import { quoteText } from './quoted-text.ts';

const layout = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** Lower-case, or the original's error for anything but the plain 36-character layout. */
export function parseGuid(text: string): string {
  if (!layout.test(text)) {
    throw new DocumentError('InvalidGuid', `invalid GUID ${quoteText(text)}`);
  }
  return text.toLowerCase();
}
