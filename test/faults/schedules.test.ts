/** A handful of the schedules that `npm run faults` runs by the hundred. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { checkLeaks } from '../helpers/leaks.js';
import { runSchedule } from './schedule.js';

checkLeaks();

describe('a distributed job under faults', () => {
  for (const seed of ['1/0', '1/4', '1/10']) {
    it(`loses no verdict, counts none twice and changes none (schedule ${seed})`, async () => {
      const { violations } = await runSchedule(seed);
      assert.deepEqual(violations, []);
    });
  }
});
