// Prints docs/settings.md from the table of settings: npm run docs
import { defaultText, flagOf, SETTING_NAMES, SETTINGS, variableOf } from '../dist/src/config/table.js';

const TITLES = {
  defence: 'Defence',
  model: 'Model and runtime',
  limits: 'Limits on images',
  job: 'Bulk jobs',
  storage: 'S3 storage',
  output: 'Output',
  queue: 'Redis',
  producer: 'Producer of the distributed pipeline',
  worker: 'Workers',
  telemetry: 'Telemetry',
  sink: 'Result sinks',
  ingest: 'Ingest gateway',
};

const cell = text => text.replaceAll('|', '\\|');

console.log(`# Settings

Made from the table in \`src/config/table.ts\` by \`npm run docs\`.

A setting comes from its flag, else from its environment variable, else from its key in \`deflector.yaml\` (of the
working directory, or the file named by \`--config\` or \`DEFLECTOR_CONFIG\`), else from its default. The defaults of
the defence settings are those of the recipe; the table shows recipe \`paper\`. An empty variable counts as absent. A
value out of its range, or a key that is no setting, ends the command with exit code 2 before any work.

\`\`\`yaml
# deflector.yaml
recipe: paper
runs: 20
earlyStop: risk:0.001
order: [deflect, denoise]
\`\`\`

The settings in \`run.json\` have this form too: saved as \`deflector.yaml\` they start the same run again.`);

for (const [group, title] of Object.entries(TITLES)) {
  console.log(`\n## ${title}\n\n| Flag | Variable | Key | Default | Value | Meaning |\n|---|---|---|---|---|---|`);
  for (const name of SETTING_NAMES.filter(candidate => SETTINGS[candidate].group === group)) {
    const { type, help } = SETTINGS[name];
    const cells = [
      `\`${flagOf(name)}\``,
      `\`${variableOf(name)}\``,
      `\`${name}\``,
      defaultText(name),
      type.expected,
      help,
    ];
    console.log(`| ${cells.map(cell).join(' | ')} |`);
  }
}
