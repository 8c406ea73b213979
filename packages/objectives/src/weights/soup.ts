/**
 * A weighted mean of the parameters of several models: a weight soup. Wortsman et al. 2022, arXiv:2203.05482; as the
 * reference of an RLHF run, from two SFT models trained independently, Chegini et al. 2024, arXiv:2411.01798 (SALSA),
 * from its abstract.
 *   θ = Σ_m w_m θ_m
 * `models` hold the same parameters in the same order, each [parameters]. `weights`, one a model, are taken as they
 * are: a soup's sum to 1. Default: 1/models each.
 */
export function weightSoup(models: readonly ArrayLike<number>[], weights?: readonly number[]): Float64Array {
  const [first] = models;
  if (!first) throw new RangeError('models: expected at least one, got none');
  for (const [at, { length }] of models.entries()) {
    if (length !== first.length) {
      throw new RangeError(`models[${at}]: expected ${first.length} parameters, got ${length}`);
    }
  }
  if (weights && weights.length !== models.length) {
    throw new RangeError(`weights: expected ${models.length} numbers, got ${weights.length}`);
  }
  return Float64Array.from({ length: first.length }, (_, at) => {
    const sum = models.reduce((so, model, m) => so + (weights ? weights[m]! : 1) * model[at]!, 0);
    return weights ? sum : sum / models.length;
  });
}
