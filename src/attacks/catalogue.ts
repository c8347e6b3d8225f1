/** All attacks, weakest claims first: white-box by one step, by many, by minimising a distance; then by queries. */
import { apgdCe } from './apgd-ce.js';
import { apgdDlr } from './apgd-dlr.js';
import type { Attack } from './attack.js';
import { carliniWagner } from './carlini-wagner.js';
import { deepFool } from './deepfool.js';
import { fgsm } from './fgsm.js';
import { hopSkipJump } from './hop-skip-jump.js';
import { igsm } from './igsm.js';
import { jsma } from './jsma.js';
import { lBfgs } from './l-bfgs.js';
import { pgd } from './pgd.js';
import { spsa } from './spsa.js';
import { square } from './square.js';

/** Each takes the values of its own table, which {@link resolveParameters} makes. */
export const ATTACKS = [
  fgsm,
  igsm,
  pgd,
  apgdCe,
  apgdDlr,
  deepFool,
  carliniWagner,
  lBfgs,
  jsma,
  square,
  spsa,
  hopSkipJump,
].map(attack => attack as unknown as Attack) as readonly Attack[];
