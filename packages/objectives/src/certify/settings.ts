import type { Claims } from '../claims.js';
import type { Objective } from '../objective.js';

/** Options of an objective, and what it claims under them. */
export interface ClaimedSetting {
  /** What differs from the defaults. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly claims: Claims;
}

/**
 * The defaults first, then each choice by itself, then what the objective names. Every option of a kind is thus looked at,
 * not every combination.
 */
export function settingsOf(objective: Objective): ClaimedSetting[] {
  const choices = objective.describeOptions().flatMap(({ name, type, values, default: preset }) => {
    const all: readonly unknown[] = values ?? (type === 'boolean' ? [true, false] : []);
    return all.filter((value) => value !== preset).map((value) => ({ [name]: value }));
  });
  const all = [{}, ...choices, ...(objective.claimedAt ?? [])];
  return all.flatMap((options) => {
    const resolved = valid(objective, options);
    return resolved ? [{ options, claims: objective.claims?.(resolved) ?? {} }] : [];
  });
}

/** A choice may exclude a default of another option. */
function valid(objective: Objective, options: Readonly<Record<string, unknown>>) {
  try {
    return objective.resolveOptions(options);
  } catch {
    return undefined;
  }
}

/** ` (average sum)`, for a finding's text; nothing of the defaults. */
export function told(options: Readonly<Record<string, unknown>>): string {
  const text = Object.entries(options).map(([name, value]) => `${name} ${value}`);
  return text.length > 0 ? ` (${text.join(', ')})` : '';
}
