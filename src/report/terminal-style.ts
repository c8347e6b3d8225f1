/** Colours for terminals that want them. */

export interface TerminalStyle {
  readonly bold: (text: string) => string;
  readonly quiet: (text: string) => string;
  readonly warn: (text: string) => string;
  readonly fail: (text: string) => string;
}

const plain = (text: string) => text;
const code = (on: number, off: number) => (text: string) => `\u001b[${on}m${text}\u001b[${off}m`;

/** Text as it is. */
export const PLAIN_STYLE: TerminalStyle = { bold: plain, quiet: plain, warn: plain, fail: plain };

/** SGR codes that every terminal of the last decades knows. */
export const COLOUR_STYLE: TerminalStyle = {
  bold: code(1, 22),
  quiet: code(2, 22),
  warn: code(33, 39),
  fail: code(31, 39),
};

/** Colours on a terminal, unless NO_COLOR (no-color.org) is set or the terminal is dumb. */
export function terminalStyle(stream: { readonly isTTY?: boolean }, env: NodeJS.ProcessEnv): TerminalStyle {
  const wanted = stream.isTTY === true && (env.NO_COLOR ?? '') === '' && env.TERM !== 'dumb';
  return wanted ? COLOUR_STYLE : PLAIN_STYLE;
}
