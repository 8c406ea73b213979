export { type AsymmetricWeights, asymmetricWeights, type JudgedGroups } from './asymmetric.js';
export { type ReferenceUpdateOptions, updatedReference, updatesReference } from './reference-update.js';
export { sftProbability } from './sft-probability.js';
export { weightSoup } from './soup.js';
