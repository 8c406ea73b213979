export {
  type Certificate,
  type CertifiedCheck,
  type CertifyOptions,
  type CheckName,
  certify,
  certifyDefaults,
  checkNames,
  type Finding,
} from './certificate.js';
export { type NamedOrdering, type Ordering, orderings } from './orderings/index.js';
export { type NamedCheck, type TheoryCheck, theoryChecks } from './theory/index.js';
