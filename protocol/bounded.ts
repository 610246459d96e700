// Bounds for texts, codes and lists in a peer's message, checked before anything is built from them (docs/design.md
// §10). The length of a list is checked before its items: a frame has room for 350,000 empty objects, and zod would
// describe a problem for each.
import { z } from 'zod';
import { beginning } from '../runtime/beginning.ts';
import { plainText } from '../runtime/plain-text.ts';

/**
 * The text cannot steer a terminal. Text that escaping makes too long is cut; text that arrives too long is refused.
 */
export function boundedText(characters: number) {
  return z
    .string()
    .max(characters)
    .overwrite((text) => (text.length > characters ? text : beginning(plainText(text), characters)));
}

/** A name that programs compare, such as a reason. */
export const code = z.string().regex(/^[A-Za-z]{1,64}$/);

export function boundedList<T extends z.ZodType>(item: T, most: number) {
  return z.array(z.unknown()).max(most).pipe(z.array(item));
}
