// V8 keeps the whole of a text alive for as long as a piece of it is. A guest that writes 64 KiB for every few characters that
// are kept of them would have the agent hold all of that.

/** What texts that are no longer may keep alive. */
const shortText = 1024;
/** V8 copies shorter pieces anyway. */
const shortPiece = 13;

/** The piece, without the whole from which it was cut. Both are well-formed. */
export function ownText(piece: string, whole: string): string {
  return whole.length <= shortText || piece.length < shortPiece ? piece : Buffer.from(piece).toString();
}
