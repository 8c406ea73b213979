export {
  bestResponseGain,
  klToEquilibrium,
  type MirrorProxIteration,
  nashEquilibrium,
  nashMirrorProx,
  type PreferenceGame,
  proximalStep,
  winProbabilities,
} from './nash.js';
