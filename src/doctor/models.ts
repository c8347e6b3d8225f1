/** Models on this machine: whether each can be read and is the one that was recorded. */
import { readModel } from '../models/model.js';
import { listModels } from '../models/registry.js';
import type { Examination } from './finding.js';

/** @param needed the name of the model that commands use */
export async function modelExaminations(needed: string): Promise<Examination[]> {
  return (await listModels()).map(({ name, folder, origin }) => ({
    id: `model-${name}`,
    name: `Model ${name}`,
    needed: name === needed,
    remedy:
      origin === 'bundled'
        ? 'Install Deflector again.'
        : `Add the model again from its source (deflector models add), or remove ${folder}.`,
    async examine() {
      const { identity, recorded, network, labels } = await readModel(folder);
      const maps = network.head === undefined ? `no activation maps (${network.headless})` : 'activation maps';
      const digest = `SHA-256 ${identity.sha256.slice(0, 12)} ${recorded ? 'as recorded' : '(none recorded)'}`;
      return `${origin}, ${digest}, ${labels.length} classes, ${maps}`;
    },
  }));
}
