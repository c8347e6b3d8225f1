/** Reads what processes expose, and runs Prometheus and promtool. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { temporaryFolder } from './files.js';
import { freePort } from './free-port.js';

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

/** A series of an answer: its labels, and its value at the last moment that was asked for. */
export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: readonly [at: number, value: string];
}

/** A series over time: values at the moments that were asked for and at which it was there. */
export interface SeriesInTime {
  readonly metric: Readonly<Record<string, string>>;
  readonly values: readonly (readonly [at: number, value: string])[];
}

export interface PrometheusServer {
  /** @throws Error what it says to a query that it does not understand */
  query(expr: string): Promise<readonly Series[]>;
  /** @param from and to in seconds since 1970 */
  queryRange(expr: string, from: number, to: number, step: number): Promise<readonly SeriesInTime[]>;
  /** Each rule with its health, `ok` or `err`, once it was evaluated. */
  rules(): Promise<readonly { readonly name: string; readonly health: string; readonly lastError?: string }[]>;
}

/**
 * Starts a Prometheus that scrapes processes, and evaluates rules as often. It begins up to five seconds later.
 *
 * @param targets `host:port`, by the name of the instance
 * @param rules texts of files of rules
 * @param interval milliseconds between two scrapes
 */
export async function startPrometheus(
  t: Pick<TestContext, 'after'>,
  targets: Readonly<Record<string, string>>,
  rules: readonly string[] = [],
  interval = 500,
): Promise<PrometheusServer> {
  const folder = await temporaryFolder(t);
  const files = rules.map((_, place) => join(folder, `rules-${place}.yaml`));
  for (const [place, file] of files.entries()) await writeFile(file, rules[place]!);
  const every = `${interval}ms`;
  const configuration = {
    global: { scrape_interval: every, scrape_timeout: every, evaluation_interval: every },
    rule_files: files,
    scrape_configs: [
      {
        job_name: 'deflector',
        static_configs: Object.entries(targets).map(([instance, target]) => ({
          targets: [target],
          labels: { instance },
        })),
      },
    ],
  };
  await writeFile(join(folder, 'prometheus.yaml'), stringify(configuration));
  const port = await freePort();
  const child = spawn(
    'prometheus',
    [
      `--config.file=${join(folder, 'prometheus.yaml')}`,
      `--storage.tsdb.path=${join(folder, 'data')}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=warn',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let log = '';
  child.stderr.setEncoding('utf8').on('data', text => (log += text));
  const ended = once(child, 'close');
  t.after(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const ask = async <T>(path: string, parameters: Readonly<Record<string, string>> = {}): Promise<T> => {
    const response = await fetch(`http://127.0.0.1:${port}/api/v1/${path}?${new URLSearchParams(parameters)}`);
    const { status, data, error } = (await response.json()) as { status: string; data: T; error?: string };
    if (status !== 'success') throw new Error(`${error}: ${parameters.query}`);
    return data;
  };
  const ready = () =>
    fetch(`http://127.0.0.1:${port}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
  const deadline = performance.now() + 60_000;
  while (!(await ready())) {
    if (child.exitCode !== null || performance.now() > deadline) throw new Error(`Prometheus does not start: ${log}`);
    await sleep(50);
  }
  return {
    query: async query => (await ask<{ result: Series[] }>('query', { query })).result,
    queryRange: async (query, from, to, step) => {
      const range = { start: `${from}`, end: `${to}`, step: `${step}` };
      return (await ask<{ result: SeriesInTime[] }>('query_range', { query, ...range })).result;
    },
    rules: async () => {
      const { groups } = await ask<{ groups: { rules: { name: string; health: string; lastError?: string }[] }[] }>(
        'rules',
      );
      return groups.flatMap(group => group.rules);
    },
  };
}
