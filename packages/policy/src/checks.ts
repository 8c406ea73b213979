import type { Model } from './architecture.js';
import { KelpieError } from './errors.js';
import { isScalar } from './score.js';
import type { TokenTree } from './tree.js';
import type { AdamWOptions, SampleRequest, ScoreRequest } from './types.js';
import type { Arithmetic } from './weights.js';

/** Refuses a request for scores before anything runs. */
export function checkScoring({ trees, scores, temperature = 1 }: ScoreRequest, model: Model): void {
  if (trees.length === 0) throw new KelpieError('expected at least one tree, got none', { code: 'empty-batch' });
  if (scores.length === 0 || new Set(scores).size < scores.length) {
    throw new KelpieError(`expected each score once and at least one, got [${scores.join(', ')}]`, {
      code: 'scores',
    });
  }
  for (const name of scores) {
    if (isScalar(name)) requireScalarHead(model);
    else requireLanguageHead(model, `the score \`${name}\``);
  }
  if (!(temperature > 0))
    throw new KelpieError(`temperature must be above 0, got ${temperature}`, { code: 'temperature' });
  checkTrees(trees, model);
}

function requireScalarHead({ scalarHead }: Model): void {
  if (scalarHead !== undefined) return;
  throw new KelpieError('the score `values` takes a scalar head: open the model with `scalarHead`', {
    code: 'no-scalar-head',
    where: { score: 'values' },
  });
}

/** @param what asks for the head. */
export function requireLanguageHead({ languageHead = true }: Model, what: string): void {
  if (languageHead) return;
  throw new KelpieError(`${what} takes a language model's head, and this model has a scalar head in its place`, {
    code: 'no-language-head',
  });
}

/**
 * Ids in the vocabulary, sequences that learned positions hold.
 *
 * @param longest of sequences over learned positions: one more than those, as the last token is only predicted.
 */
export function checkTrees(
  trees: readonly TokenTree[],
  { dimensions, rotary }: Model,
  longest = dimensions.contextLength + 1,
): void {
  const { vocabularySize } = dimensions;
  trees.forEach(({ trunk, branches }, tree) => {
    const fail = (message: string, where: Record<string, number> = {}): never => {
      throw new KelpieError(message, { code: 'token-row', where: { tree, ...where } });
    };
    const check = (ids: readonly number[]) => {
      for (const id of ids) {
        if (!Number.isInteger(id) || id < 0 || id >= vocabularySize) {
          fail(
            `token id ${id} is not in the vocabulary of ${vocabularySize}: does the tokenizer belong to this model?`,
          );
        }
      }
    };
    check(trunk);
    branches.forEach(({ ids, scoreFrom }, branch) => {
      check(ids);
      const length = trunk.length + ids.length;
      if (length === 0) fail('the sequence is empty', { branch });
      if (!Number.isInteger(scoreFrom) || scoreFrom < 1)
        fail(`scoring starts at position ${scoreFrom}; the first token has no prediction, so it must be at least 1`, {
          branch,
        });
      if (rotary === undefined && length > longest) {
        fail(`${length} tokens do not fit the model's learned positions, which hold ${longest}: truncate`, {
          branch,
        });
      }
    });
  });
}

export function checkSampling(request: SampleRequest): void {
  const { completions = 1, maxNewTokens, temperature = 1, topK = 0, topP = 1, minP = 0, rows = 1 } = request;
  const rules: [name: string, value: number, holds: boolean, expected: string][] = [
    ['completions', completions, Number.isInteger(completions) && completions >= 1, 'a whole number of at least 1'],
    ['maxNewTokens', maxNewTokens, Number.isInteger(maxNewTokens) && maxNewTokens >= 0, 'a whole number of at least 0'],
    [
      'temperature',
      temperature,
      temperature >= 0 && temperature < Number.POSITIVE_INFINITY,
      'at least 0 (0 is greedy)',
    ],
    ['topK', topK, Number.isInteger(topK) && topK >= 0, 'a whole number of at least 0 (0 is off)'],
    ['topP', topP, topP > 0 && topP <= 1, 'above 0 and at most 1'],
    ['rows', rows, Number.isInteger(rows) && rows >= 1, 'a whole number of at least 1'],
    ['minP', minP, minP >= 0 && minP <= 1, 'from 0 to 1'],
  ];
  for (const [name, value, holds, expected] of rules) {
    if (!holds)
      throw new KelpieError(`\`${name}\` must be ${expected}, got ${value}`, {
        code: 'sampling',
        where: { option: name },
      });
  }
}

/** Refuses what an update cannot be computed with, as it is rounded to the weights' precision. */
export function checkOptimizer({ betas, eps }: Required<Pick<AdamWOptions, 'betas' | 'eps'>>, dtype: Arithmetic): void {
  const round = dtype === 'float32' ? Math.fround : (x: number) => x;
  const refuse = (option: string, expected: string, got: number) => {
    throw new KelpieError(`\`${option}\` must be ${expected} in ${dtype}, got ${got}`, {
      code: 'optimizer',
      where: { option },
    });
  };
  for (const [i, beta] of betas.entries()) {
    if (!(beta >= 0 && round(beta) < 1)) refuse(`betas[${i}]`, 'at least 0 and below 1', beta);
  }
  const held = round(eps) > 0 && Number.isFinite(round(eps));
  if (eps !== 0 && !held) refuse('eps', '0, or a positive number that is neither 0 nor infinite', eps);
}
