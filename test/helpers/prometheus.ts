/** Reads what processes expose, and runs promtool. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

/** A sample of an exposition: `name{labels}` as written, and its value. */
export type Samples = ReadonlyMap<string, number>;

/** The samples of a text in either format. Exemplars are left out. */
export function samplesOf(text: string): Samples {
  const lines = text.split('\n').filter(line => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map(line => {
      const [, sample, value] = /^(\S+?(?:\{.*?\})?) ([^ ]+)/.exec(line)!;
      return [sample!, Number(value!.replace('+Inf', 'Infinity'))];
    }),
  );
}

/** Reads /metrics of a process. */
export async function scrape(url: string, accept = 'text/plain'): Promise<{ type: string; text: string }> {
  const response = await fetch(`${url}/metrics`, { headers: { accept } });
  if (response.status !== 200) throw new Error(`/metrics: ${response.status} ${await response.text()}`);
  return { type: response.headers.get('content-type') ?? '', text: await response.text() };
}

/** The address that a process says it serves its metrics on. */
export function telemetryUrl(log: string): string {
  const [, url] = /Metrics and health at (http:\/\/[^\s"]+)/.exec(log) ?? [];
  if (url === undefined) throw new Error(`there is no address in: ${log}`);
  return url;
}

/** Runs promtool. @returns what it said, where it was content @throws Error with what it said, where it was not */
export async function promtool(args: readonly string[], input = '', cwd?: string): Promise<string> {
  const child = spawn('promtool', args, { stdio: 'pipe', ...(cwd === undefined ? {} : { cwd }) });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', text => (said += text));
  child.stdin.end(input);
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`promtool ${args.join(' ')}: ${said}`);
  return said;
}
