import { describe, expect, test } from 'vitest';
import type { Objective } from '../objective.js';
import { dpo } from '../objectives/dpo.js';
import { exo } from '../objectives/exo.js';
import { fDpo } from '../objectives/f-dpo.js';
import { hinge } from '../objectives/hinge.js';
import { ipo } from '../objectives/ipo.js';
import { lnDpo } from '../objectives/ln-dpo.js';
import { nca } from '../objectives/nca.js';
import { robustDpo } from '../objectives/robust-dpo.js';
import { sppo } from '../objectives/sppo.js';
import { testObjective } from '../testing/index.js';
import { alphaDivergence } from './alpha.js';
import { forwardKl } from './forward-kl.js';
import { halfChi2PlusKl } from './half-chi2-plus-kl.js';
import { jensenShannon } from './jensen-shannon.js';
import { pearsonChi2 } from './pearson-chi2.js';
import { reverseKl } from './reverse-kl.js';
import { throughDerivative, throughLink } from './through.js';

const any = (objective: object) => objective as Objective;

/** One pair of completions with these logratios, of one token and of two. */
function pair(chosen: number, rejected: number) {
  return {
    rows: 2,
    tokens: 2,
    completionMask: Uint8Array.of(1, 0, 1, 1),
    policy: { logprobs: Float64Array.of(chosen - 2, Number.NaN, rejected - 2, -1) },
    reference: { logprobs: Float64Array.of(-2, Number.NaN, -2, -1) },
  };
}

test('reverse KL changes nothing', () => {
  for (const objective of [dpo, hinge, ipo, robustDpo, lnDpo].map(any)) {
    const [ours, theirs] = [throughLink({ objective }, reverseKl), objective].map((o) => o.evaluate(pair(0.7, -0.4)));
    expect(ours!.loss).toBeCloseTo(theirs!.loss, 14);
    ours!.cotangents.logprobs!.forEach((value, at) => {
      expect(value).toBeCloseTo(theirs!.cotangents.logprobs![at]!, 14);
    });
    expect(ours!.metrics).toEqual(theirs!.metrics);
  }
});

test.each([
  ['js', jensenShannon],
  ['half-chi2-plus-kl', halfChi2PlusKl],
] as const)('DPO through %s is f-DPO', (divergence, link) => {
  const ours = throughLink({ objective: any(dpo), options: { beta: 0.3, labelSmoothing: 0.1 } }, link);
  const theirs = fDpo.evaluate(pair(0.7, -0.4), { beta: 0.3, labelSmoothing: 0.1, divergence });
  const { loss, cotangents } = ours.evaluate(pair(0.7, -0.4));
  expect(loss).toBeCloseTo(theirs.loss, 14);
  cotangents.logprobs!.forEach((value, at) => {
    expect(value).toBeCloseTo(theirs.cotangents.logprobs![at]!, 14);
  });
});

test("IPO through forward KL: means of 1 - 1/u over a row's tokens", () => {
  const { loss } = throughLink({ objective: any(ipo), options: { beta: 0.5 } }, forwardKl).evaluate(
    pair(Math.log(2), -Math.log(2)),
  );
  // (1 - 1/2)/1 - (1 - 2)/2 = 1, drawn to 1/(2 · 0.5) = 1
  expect(loss).toBeCloseTo(0, 14);
});

describe('what is refused', () => {
  test.each(['nca', 'sppo'])('%s, which reads more than the margin', (name) => {
    const objective = any(name === 'nca' ? nca : sppo);
    expect(() => throughLink({ objective }, jensenShannon)).toThrow(/a loss of the margin/);
  });

  test('what is no link', () => {
    // @ts-expect-error f'(0+) = -2
    expect(() => throughLink({ objective: any(hinge) }, pearsonChi2)).toThrow(RangeError);
    expect(throughDerivative({ objective: any(hinge) }, pearsonChi2).evaluate(pair(0, 0)).loss).toBe(1);
  });
});

const linked = [
  throughLink({ objective: any(exo), options: { labelSmoothing: 0.1 } }, jensenShannon),
  throughLink({ objective: any(lnDpo) }, forwardKl),
  throughLink({ objective: any(ipo) }, alphaDivergence(0.3)),
];

describe.each(linked)('$name', (objective) => {
  for (const { name, run } of testObjective(objective)) test(name, run);
});
