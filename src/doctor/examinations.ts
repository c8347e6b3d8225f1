/** Everything the doctor looks at, in the order of its report. */
import { resolveSettings } from '../config/settings.js';
import type { Examination } from './finding.js';
import { IMAGES } from './images.js';
import { machineExaminations } from './machine.js';
import { modelExaminations } from './models.js';
import { runtimeExaminations } from './runtimes.js';
import { serviceExaminations } from './services.js';
import { examineSettings, settingsHere } from './settings.js';

export async function allExaminations(): Promise<Examination[]> {
  // Settings that are wrong are a finding of their own; the rest is looked at with the defaults then.
  const settings = await settingsHere().catch(() => resolveSettings({}));
  const { model } = settings;
  return [
    ...machineExaminations(),
    examineSettings(),
    IMAGES,
    ...(await modelExaminations(model)),
    ...runtimeExaminations(model),
    ...serviceExaminations(settings),
  ];
}
