import type { Objective } from '../objective.js';
import { testObjective } from '../testing/suite.js';
import { estimatorCheck } from './estimator.js';
import { fixedPointCheck } from './fixed-point.js';
import { rewardShiftCheck } from './reward-shift.js';
import { settingsOf } from './settings.js';

/** What a certificate looks at. */
export const checkNames = ['gradient', 'estimator', 'fixed point', 'invariances', 'extremes', 'refusals'] as const;
export type CheckName = (typeof checkNames)[number];

/** What one look found. */
export interface Finding {
  readonly passed: boolean;
  /** One line: what was compared, and how it came out. */
  readonly text: string;
  /** The worst error and what is allowed, where the finding is a number. */
  readonly error?: number;
  readonly bound?: number;
}

export interface CertifiedCheck extends Finding {
  readonly name: CheckName;
}

export interface CertifyOptions {
  readonly seed?: number;
  /** Tokens of the enumerable world, the end token included. */
  readonly vocabulary?: number;
  /** Tokens of its longest completion. */
  readonly length?: number;
  /** Random inputs and options per property; worlds per expectation. */
  readonly trials?: number;
}

export const certifyDefaults = { seed: 1, vocabulary: 3, length: 2, trials: 6 } as const satisfies CertifyOptions;

export interface Certificate {
  readonly objective: string;
  readonly title: string;
  readonly paper: string;
  readonly passed: boolean;
  /** What it claims, with the options that differ from the defaults. */
  readonly claims: readonly { readonly options: object; readonly optimum?: string; readonly descends?: string }[];
  readonly checks: readonly CertifiedCheck[];
  readonly settings: Required<CertifyOptions>;
}

/** The properties of the shared suite, by the check they belong to. What is not named here is an invariance. */
const properties: Readonly<Record<string, CheckName>> = {
  'cotangent = central difference, stopped gradients held still': 'gradient',
  'stopped gradients are the declared ones': 'gradient',
  'cotangents only of the scores asked for, 0 where masked': 'gradient',
  'finite at logratios of ±1e4 and one-token completions': 'extremes',
  'wrong options are named': 'refusals',
  'wrong inputs are named': 'refusals',
};

/**
 * Holds an objective to its gradient, to what it claims, and to what every objective owes: see `checkNames`. Works on any
 * objective made by `defineObjective`; one that claims nothing is checked for stationarity.
 */
export function certify(objective: Objective, given: CertifyOptions = {}): Certificate {
  const settings = { ...certifyDefaults, ...given };
  const claims = objective.claims?.(objective.defaults) ?? {};
  const suite = suiteFindings(objective, settings);
  const findings: Readonly<Record<CheckName, Finding>> = {
    ...suite,
    estimator: guarded(() => estimatorCheck(objective, settings)),
    'fixed point': guarded(() => fixedPointCheck(objective, settings)),
    invariances: both(
      suite.invariances,
      claims.rewardShift ? guarded(() => rewardShiftCheck(objective, settings)) : undefined,
    ),
  };
  const checks = checkNames.map((name) => ({ name, ...findings[name] }));
  return {
    objective: objective.name,
    title: objective.title,
    paper: objective.paper,
    passed: checks.every(({ passed }) => passed),
    claims: settingsOf(objective).flatMap(({ options, claims: { optimum, descends } }) =>
      optimum || descends
        ? [{ options, ...(optimum && { optimum: optimum.formula }), ...(descends && { descends: descends.formula }) }]
        : [],
    ),
    checks,
    settings,
  };
}

type SuiteChecks = Readonly<Record<'gradient' | 'invariances' | 'extremes' | 'refusals', Finding>>;

function suiteFindings(objective: Objective, { seed, trials }: Required<CertifyOptions>): SuiteChecks {
  const outcomes = testObjective(objective, { seed, trials }).map(({ name, run }) => ({
    check: properties[name] ?? 'invariances',
    finding: guarded(() => {
      run();
      return { passed: true, text: name };
    }),
  }));
  const of = (check: CheckName): Finding => {
    const mine = outcomes.filter((outcome) => outcome.check === check).map(({ finding }) => finding);
    const failed = mine.filter(({ passed }) => !passed);
    const text =
      failed.length > 0
        ? failed.map((finding) => finding.text).join('; ')
        : `${mine.length} properties x ${trials} trials`;
    return { passed: failed.length === 0, text };
  };
  return {
    gradient: of('gradient'),
    invariances: of('invariances'),
    extremes: of('extremes'),
    refusals: of('refusals'),
  };
}

/** An error is a finding: a certificate is written to its end. */
function guarded(look: () => Finding): Finding {
  try {
    return look();
  } catch (error) {
    return { passed: false, text: error instanceof Error ? error.message : String(error) };
  }
}

function both(first: Finding, second: Finding | undefined): Finding {
  if (!second) return first;
  return { ...second, passed: first.passed && second.passed, text: `${first.text}; ${second.text}` };
}
