/** An error of the graph layer, with the same facts as fields. */
export class OnnxError extends Error {
  override readonly name = 'OnnxError';
  readonly code: string;
  readonly where: Readonly<Record<string, string | number>>;

  constructor(code: string, message: string, where: Readonly<Record<string, string | number>> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.where = where;
  }
}
