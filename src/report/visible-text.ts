/**
 * Image keys come from strangers. Whatever shows one shows it on one line, with nothing in it that could move the
 * cursor, turn the reading direction or hide itself.
 */

/** Joiners stay: scripts and emoji need them. Everything else in these categories is invisible or acts on its surroundings. */
const ACTING = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Noncharacter_Code_Point}]/gu;

const SHORT: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\0': '\\0' };

/**
 * Writes control characters, direction marks, line separators, invisible format characters and lone surrogates as
 * escapes (`\n`, `\u{202e}`); leaves all other text alone.
 */
export function visibleText(text: string): string {
  return text.replace(ACTING, character => SHORT[character] ?? `\\u{${character.codePointAt(0)!.toString(16)}}`);
}

/** The first `length` characters of an identifier (a seed, a digest), with an ellipsis where it goes on. */
export function shortText(text: string, length: number): string {
  const characters = Array.from(visibleText(text));
  return characters.length <= length ? characters.join('') : `${characters.slice(0, length).join('')}…`;
}
