/** Entry of a worker thread: one laboratory, driven by messages (see evaluation-pool.ts). */
import { answerCalls } from '../engine/answering-thread.js';
import { type Experiment, type Findings, ImageLaboratory, type LaboratorySpec } from './image-laboratory.js';

await answerCalls<LaboratorySpec, Experiment, Findings>(async spec => {
  const laboratory = await ImageLaboratory.open(spec);
  return { answer: experiment => laboratory.examine(experiment), close: () => laboratory.close() };
});
