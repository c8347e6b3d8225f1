/**
 * Loaded into worker processes by `node --import`: images that take down, or hold, whatever process defends them, as a
 * native crash or an endless loop does. DEADLY names them: `KEY=kill,KEY=hang`.
 */
import { DefendEngine } from '../../src/stages/defend.js';

const hazards = new Map((process.env.DEADLY ?? '').split(',').map(entry => entry.split('=') as [string, string]));
const defend = DefendEngine.prototype.defend;

DefendEngine.prototype.defend = function (image, wanted) {
  const hazard = hazards.get(image.key);
  if (hazard === 'kill') process.kill(process.pid, 'SIGKILL');
  return hazard === 'hang' ? new Promise(() => undefined) : defend.call(this, image, wanted);
};
