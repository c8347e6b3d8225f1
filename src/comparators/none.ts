/** No defence: the row that every table begins with. */
import { defineStep } from './step.js';

export const none = defineStep({ name: 'none', parameters: {}, apply() {} });
