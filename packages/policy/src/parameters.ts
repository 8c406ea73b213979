export type { LinearModule } from './files/peft-targets.js';

/** What a tensor is, for initialisation, weight decay and gradients. */
export type ParameterKind = 'matrix' | 'embedding' | 'norm' | 'bias';

export interface Parameter {
  /** Name in the checkpoint, as the family's library writes it (`model.layers.0.self_attn.q_proj.weight`). */
  readonly name: string;
  /** Other names under which checkpoints hold the same tensor. */
  readonly aliases?: readonly string[];
  readonly shape: readonly number[];
  readonly kind: ParameterKind;
  /** Standard deviation of seeded normal initial values, or a constant. */
  /** A checkpoint may lack it: it then starts fresh. */
  readonly optional?: boolean;
  readonly init: { readonly std: number } | { readonly constant: number };
}

/** A low-rank update of one linear layer: y += scaling * B (A x). */
export interface LoraModule {
  readonly module: string;
  readonly rank: number;
  readonly scaling: number;
  /** DoRA: rows of W + scaling B A are brought to trained magnitudes. */
  readonly dora: boolean;
}

export type FloatArray = Float32Array | Float64Array;

/** Tensors by name, in the policy's arithmetic. */
export type Weights = Map<string, { readonly shape: readonly number[]; data: FloatArray }>;
