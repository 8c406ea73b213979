export { type ExpectedEstimate, expectedEstimate } from './expectation.js';
export { type KlEstimate, type KlEstimator, klEstimate, klEstimators } from './kl.js';
export { type TokenKl, tokenKl } from './tokens.js';
