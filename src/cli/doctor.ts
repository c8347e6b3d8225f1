/** `deflector doctor`: what works on this machine, and what to do about what does not. */
import type { Command } from 'commander';
import type { Finding } from '../doctor/finding.js';
import { EXIT } from './exit-codes.js';
import { addJsonOption } from './options.js';

const DOCTOR_SCHEMA = 'deflector/doctor@1';

export function registerDoctor(program: Command): void {
  addJsonOption(program.command('doctor'))
    .description('say what works on this machine, and what to do about what does not')
    .addHelpText('after', '\nExit code 0 when everything that `deflector run` needs works, else 3.')
    .action(async ({ json }: { json?: boolean }) => {
      const { allExaminations } = await import('../doctor/examinations.js');
      const { find } = await import('../doctor/finding.js');
      const findings: Finding[] = [];
      // One after another: a probe that works the machine hard would falsify its neighbour.
      for (const examination of await allExaminations()) {
        const finding = await find(examination);
        findings.push(finding);
        if (!json) process.stdout.write(describe(finding));
      }
      const ready = findings.every(({ needed, status }) => !needed || status === 'works');
      if (json) {
        process.stdout.write(`${JSON.stringify({ schema: DOCTOR_SCHEMA, ready, findings }, undefined, 2)}\n`);
      } else {
        process.stdout.write(
          `\n${ready ? 'Ready: everything' : 'Not ready: not everything'} that \`deflector run\` needs works.\n`,
        );
      }
      process.exitCode = ready ? EXIT.done : EXIT.service;
    });
}

function describe({ name, status, detail, remedy }: Finding): string {
  const indent = ' '.repeat(42);
  return `${status.padEnd(15)} ${name.padEnd(25)} ${detail}\n${remedy === undefined ? '' : `${indent}-> ${remedy}\n`}`;
}
