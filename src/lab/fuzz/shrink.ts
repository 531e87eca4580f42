/** Smaller cases that show the same: parts of policies are left out while a finding stays. */
import { isCode } from '../../model/errors.ts';
import type { ResultCell } from '../results.ts';
import { type FuzzCase, type FuzzFinding, type TryOptions, isFinding, tryCases, worldOf } from './cases.ts';
import type { Manifest } from './policies.ts';

const isManifest = (value: unknown): value is Manifest => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Lists whose items can be left out; one that must not be empty keeps its last. */
const lists = new Set(['ingress', 'egress', 'from', 'to', 'ports', 'protocols', 'except', 'matchExpressions', 'networks', 'domainNames']);
const mayBeEmpty = new Set(['ingress', 'egress']);

/** Every value with one item less in one of its lists, or without an optional part. */
function* smaller(value: unknown): Generator {
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) for (const less of smaller(item)) yield value.with(index, less);
    return;
  }
  if (!isManifest(value)) return;
  for (const [key, item] of Object.entries(value)) {
    if (lists.has(key) && Array.isArray(item))
      for (const index of item.keys()) {
        const less = item.toSpliced(index, 1);
        if (less.length > 0 || mayBeEmpty.has(key)) yield { ...value, [key]: less };
        else yield Object.fromEntries(Object.entries(value).filter(([other]) => other !== key));
      }
    for (const less of smaller(item)) yield { ...value, [key]: less };
  }
}

/** Whole policies first, then parts. */
function* candidates({ policies, ...rest }: FuzzCase): Generator<FuzzCase> {
  for (const index of policies.keys()) yield { ...rest, policies: policies.toSpliced(index, 1) };
  for (const [index, policy] of policies.entries())
    for (const spec of smaller(policy['spec'])) yield { ...rest, policies: policies.with(index, { ...policy, spec }) };
}

/** Few in one fixture, because most rounds find a smaller case early; all of them before giving up. */
const atATime = 12;

/** A case as small as leaving out one part after the other makes it; what is no valid policy without a part keeps it. */
export function shrink(finding: FuzzFinding, options: TryOptions): FuzzFinding {
  let best = finding;
  for (;;) {
    const next = smallerFinding([...candidates(best.case)].filter(isValid), options);
    if (next === undefined) return best;
    best = next;
  }
}

function smallerFinding(cases: readonly FuzzCase[], options: TryOptions): FuzzFinding | undefined {
  for (let first = 0; first < cases.length; first += atATime) {
    const found = firstThatShows(cases.slice(first, first + atATime), options);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** All in one fixture. */
function firstThatShows(cases: readonly FuzzCase[], options: TryOptions): FuzzFinding | undefined {
  return tryCases(cases, options)
    .map((cells, index): FuzzFinding | undefined => {
      const found: ResultCell[] = cells.filter(isFinding);
      const one = cases[index];
      return one === undefined || found.length === 0 ? undefined : { case: one, cells: found };
    })
    .find((found) => found !== undefined);
}

function isValid(one: FuzzCase): boolean {
  try {
    worldOf(one);
    return true;
  } catch (error) {
    if (isCode(error, 'ERR_LAB_INPUT')) return false;
    throw error;
  }
}
