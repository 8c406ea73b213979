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
