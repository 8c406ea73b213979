export * from './batches.js';
export { type CheckOptions, checkData, type DataCheck, type Spread } from './check.js';
export * from './dataset.js';
export * from './detect.js';
export {
  DataError,
  type DataErrorCode,
  type Problem,
  placeText,
  problemText,
  type Reason,
  type Where,
} from './error.js';
export type { Finding, FindingCode, Severity } from './findings.js';
export * from './formats/index.js';
export { nestsTooDeep } from './nesting.js';
export * from './read.js';
export { countTokens, type DataReport, hashTrees, reportText, type TokenCounts } from './report.js';
export * from './row.js';
export * from './split.js';
export * from './template.js';
export * from './tokenize.js';
export * from './tokenizer.js';
export * from './truncate.js';
