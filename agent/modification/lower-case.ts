// Lower case as the original makes it: character by character, by Unicode 15. `toLowerCase` looks around (a sigma at the
// end of a word), makes two characters of one (`İ`), and knows later letters.
import { laterCharacters } from '../document/later-characters.ts';

const later = new RegExp(`[${laterCharacters}]`, 'u');
const ascii = /^[\0-\x7f]*$/;

export function lowerCase(text: string): string {
  return ascii.test(text) ? text.toLowerCase() : Array.from(text, lowerCaseOf).join('');
}

function lowerCaseOf(character: string): string {
  if (later.test(character)) return character;
  const [first = character] = character.toLowerCase();
  return first;
}
