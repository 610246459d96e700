// Texts, codes and lists in a peer's message, bounded before anything is made of them (docs/design.md §10). The length of a
// list is judged before its items are looked at: a frame has room for 350,000 of `{}`, each of which would be described.
import { z } from 'zod';
import { beginning } from '../runtime/beginning.ts';
import { plainText } from '../runtime/plain-text.ts';

/** Nothing in it steers a terminal. What grows beyond the limit by being escaped is cut; what was too long is refused. */
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
