/** A classifier as transformers.js runs it. */
export interface Loaded {
  /** By column. */
  readonly labels: readonly string[];
  /** Whether the labels do not exclude each other: a sigmoid each. */
  readonly isIndependent: boolean;
  /** Tokens it takes at most; undefined where its files do not say. */
  readonly maxLength: number | undefined;
  tokensOf(text: string): number;
  /** [texts][labels]. */
  logits(texts: readonly string[], options: { readonly maxLength?: number }): Promise<readonly (readonly number[])[]>;
  dispose(): Promise<void>;
}

/** transformers.js says this of a tokenizer without a limit. */
const noLimit = 1e12;

export async function loadClassifier(
  model: string,
  { dtype, remote }: { readonly dtype: string; readonly remote: boolean },
): Promise<Loaded> {
  const { AutoModelForSequenceClassification, AutoTokenizer } = await import('@xenova/transformers');
  const from = { local_files_only: !remote };
  const tokenizer = await AutoTokenizer.from_pretrained(model, from);
  const network = await AutoModelForSequenceClassification.from_pretrained(model, {
    ...from,
    dtype: dtype as 'fp32',
    device: 'cpu',
  });
  const config = network.config as unknown as ClassifierConfig;
  const labels = labelsOf(config);
  const limits = [tokenizer.model_max_length as number | undefined, config.max_position_embeddings].filter(
    (limit) => limit !== undefined && limit !== null && limit < noLimit,
  ) as number[];
  return {
    labels,
    isIndependent: labels.length === 1 || config.problem_type === 'multi_label_classification',
    maxLength: limits.length > 0 ? Math.min(...limits) : undefined,
    tokensOf: (text) => tokenizer.encode(text).length,
    async logits(texts, { maxLength }) {
      const inputs = tokenizer([...texts], {
        padding: true,
        truncation: maxLength !== undefined,
        ...(maxLength !== undefined && { max_length: maxLength }),
      });
      const { logits } = (await network(inputs)) as { readonly logits: { tolist(): number[][] } };
      return logits.tolist();
    },
    dispose: async () => void (await network.dispose()),
  };
}

interface ClassifierConfig {
  readonly id2label?: Readonly<Record<string, string>>;
  readonly problem_type?: string | null;
  readonly max_position_embeddings?: number;
}

function labelsOf({ id2label }: ClassifierConfig): readonly string[] {
  const columns = Object.entries(id2label ?? {}).sort(([a], [b]) => Number(a) - Number(b));
  if (columns.length === 0) throw new TypeError('`config.json` has no `id2label`');
  return columns.map(([, label]) => label);
}
