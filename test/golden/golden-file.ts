/** What a model's golden.json may hold, as far as it is read here. */
export interface GoldenFile {
  readonly reference?: { readonly tensor: string; readonly times: number };
  readonly prompts?: readonly GoldenPrompt[];
  readonly padding?: { readonly rows: readonly { readonly ids: number[]; readonly logprobs: number[] }[] };
  readonly greedy?: GoldenGreedy | readonly GoldenGreedy[];
  readonly sft?: GoldenLoss;
  readonly dpo?: GoldenDpo;
  readonly adamw?: GoldenAdamW;
  readonly tokenizer?: {
    readonly cases: readonly { readonly text: string; readonly ids: number[]; readonly decoded?: string }[];
  };
  readonly rows?: readonly { readonly ids: number[]; readonly logits: readonly number[][] }[];
  readonly sorts?: readonly {
    readonly prompt: number[];
    readonly completion: number[];
    readonly logprobs: readonly number[];
  }[];
}

export interface GoldenPrompt {
  readonly ids: number[];
  /** Position -> whole vocabulary. */
  readonly logits?: Readonly<Record<string, readonly number[]>>;
  /** [ids - 1]: of ids[t + 1] given ids[0 .. t]. */
  readonly logprobs?: readonly number[];
  /** Per position, as the rest. */
  readonly argmax?: readonly number[];
  readonly entropy?: readonly number[];
  /** forwardKl. */
  readonly kl_reference_policy?: readonly number[];
  /** reverseKl. */
  readonly kl_policy_reference?: readonly number[];
}

export interface GoldenGreedy {
  readonly prompt_ids: number[];
  /** The prompt's among them. */
  readonly ids: number[];
}

export interface GoldenGradient {
  readonly norm?: number;
  readonly sum?: number;
  readonly samples?: readonly (readonly [index: number, value: number])[];
}

export interface GoldenLoss {
  readonly value: number;
  readonly gradients?: Readonly<Record<string, GoldenGradient>>;
  readonly adamw_curve?: readonly number[];
}

export interface GoldenSequence {
  readonly ids: number[];
  readonly start: number;
}

export interface GoldenDpo extends GoldenLoss {
  readonly beta: number;
  readonly pairs: readonly { readonly chosen: GoldenSequence; readonly rejected: GoldenSequence }[];
  /** [pairs, (chosen, rejected)] */
  readonly policy_logprobs?: readonly (readonly number[])[];
  readonly reference_logprobs?: readonly (readonly number[])[];
  readonly margins?: readonly number[];
}

export interface GoldenAdamW {
  readonly lr: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weight_decay: number;
  readonly decayed?: string;
}
