export { samplerAlarm } from './alarm.js';
export { type CompletionsServerOptions, completionsServer } from './completions-server.js';
export type { Drawn, DrawRequest, RolloutEngine } from './engine.js';
export type { Handover, HandoverPost } from './handover.js';
export { inProcess } from './in-process.js';
