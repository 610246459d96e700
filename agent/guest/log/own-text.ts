// V8 keeps a whole text alive as long as a piece of it is in use. Without a copy, a guest that writes 64 KiB for every
// few characters that the agent keeps could make it hold all of that.

/** A text up to this length may stay alive because of a piece. */
const shortText = 1024;
/** V8 copies shorter pieces anyway. */
const shortPiece = 13;

/** The piece, without keeping the whole text alive. Both are well-formed. */
export function ownText(piece: string, whole: string): string {
  return whole.length <= shortText || piece.length < shortPiece ? piece : Buffer.from(piece).toString();
}
