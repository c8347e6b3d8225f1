/** Entry of a worker thread: one climber, driven by messages (see ladder-pool.ts). */
import { answerCalls } from '../../engine/answering-thread.js';
import { type Climb, Climber, type ClimberSpec, type ClimbResult } from './climber.js';

await answerCalls<ClimberSpec, Climb, ClimbResult>(async spec => {
  const climber = await Climber.open(spec);
  return { answer: climb => climber.climb(climb), close: () => climber.close() };
});
