export { expectedKlGradient } from './expected-kl-gradient.js';
export {
  type Posterior,
  type PosteriorDivergence,
  posteriorDivergence,
  posteriorOf,
  type RegularisedProblem,
} from './posterior.js';
