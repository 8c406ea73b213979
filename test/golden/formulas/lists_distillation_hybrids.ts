import type { Variants } from './case.js';
import { closedForms } from './closed-forms.js';
import { hybridVariants } from './hybrids.js';
import { listVariants } from './lists.js';

export const variants: Variants = { ...listVariants, ...hybridVariants, ...closedForms };
