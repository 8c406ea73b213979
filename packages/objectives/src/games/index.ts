export { nashEquilibrium } from './equilibrium.js';
export {
  bestResponseGain,
  klToEquilibrium,
  type MirrorProxIteration,
  nashMirrorProx,
  type PreferenceGame,
  proximalStep,
  winProbabilities,
} from './nash.js';
