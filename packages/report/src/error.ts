/** A run whose files cannot be read, with file and line and what was expected. */
export class ReportError extends Error {
  override readonly name = 'ReportError';
}
