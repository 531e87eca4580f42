/** Policies and namespaces as text, to be kept and read again without the manifests. Pure. */
import type { Policy } from './policy.ts';
import type { Namespace } from './values.ts';

/** What manifests bring into a world of running pods. */
export interface PolicySet {
  readonly namespaces: readonly Namespace[];
  readonly policies: readonly Policy[];
}

/** Addresses are numbers that JSON has no word for. */
const bigintKey = '$bigint';
const isBigint = (value: unknown): value is { readonly [bigintKey]: string } =>
  typeof value === 'object' && value !== null && bigintKey in value && typeof value[bigintKey] === 'string';

export const policySetText = (set: PolicySet): string =>
  JSON.stringify(set, (_, value: unknown) => (typeof value === 'bigint' ? { [bigintKey]: String(value) } : value));

/** The reverse of {@link policySetText}; text is ours. */
export const policySetFrom = (text: string): PolicySet =>
  text === ''
    ? { namespaces: [], policies: [] }
    : (JSON.parse(text, (_, value: unknown) => (isBigint(value) ? BigInt(value[bigintKey]) : value)) as PolicySet);
