/**
 * The table as a set of claims: elements are added for an attachment, found by their comment, and removed.
 * Nothing here locks. Every change is one kernel transaction; where what is written depends on what was read, the
 * transaction names the ruleset's generation and the loop around it is a compare-and-swap: somebody else's change makes
 * it read again. Bounded, because a ruleset that changes {@link patience} times under us is a fault of its own.
 */
import {
  type Element,
  type SetName,
  isHostPort,
  parseSubnetChainName,
  sameEntry,
  sameValue,
  setDefinition,
  setNames,
  skeletonVersion,
  table,
  tableComment,
} from '../../model/ruleset.ts';
import { type Chain, skeleton, subnetChain } from '../../model/ruleset/skeleton.ts';
import { Errno, isErrno } from '../linux.ts';
import {
  NFPROTO_INET,
  type Operation,
  decodeChain,
  decodeElements,
  decodeGeneration,
  decodeRuleChain,
  decodeTableComment,
  dumpChainsRequest,
  decodeRule,
  dumpElementsRequest,
  dumpRulesRequest,
  expressionNames,
  getChainRequest,
  getElementRequest,
  getGenerationRequest,
  getTableRequest,
} from './codec.ts';
import { type Answer, TransactionError, ask, dump, transaction } from './transport.ts';
import { currentNetns } from '../netns.ts';

const patience = 100;
const ENOENT = 2;
const EAGAIN = 11;
const EEXIST = 17;
const EPROTONOSUPPORT = 93;

/** The number of the ruleset's last change. Throws Errno when nf_tables cannot be used (EPERM, or not in the kernel). */
export function generation(): number {
  return generationIn(ask([getGenerationRequest()] as const)[0]);
}
function generationIn(answer: Answer): number {
  if (answer.body === undefined) throw new Errno('nftables', answer.errno, 'read the generation', answer.detail);
  return decodeGeneration(answer.body);
}

/** What is wrong with the table itself, whoever's elements are in it. */
export interface TableDamage {
  /** undefined: the whole table is not there, or is another rkt's */
  readonly chain: string | undefined;
  readonly text: string;
}

interface TableState {
  readonly generation: number;
  readonly exists: boolean;
  /** those of the chains asked for that are not there */
  readonly missingChains: readonly string[];
}
/** Reads all in one go. Throws Errno EPROTONOSUPPORT when the table is another rkt's. */
function state(chains: readonly string[] = []): TableState {
  const [first, second, ...rest] = ask([
    getGenerationRequest(),
    getTableRequest(table.name),
    ...chains.map((chain) => getChainRequest(table.name, chain)),
  ] as const);
  const now = generationIn(first);
  const missingChains = chains.filter((_, index) => rest[index]?.body === undefined);
  if (second.errno === ENOENT) return { generation: now, exists: false, missingChains };
  if (second.body === undefined) throw new Errno('nftables', second.errno, `read table ${table.name}`, second.detail);
  const found = decodeTableComment(second.body);
  if (found !== tableComment) {
    throw new Errno(
      'nftables',
      EPROTONOSUPPORT,
      `table ${table.family} ${table.name}`,
      `it is not of this rkt: its comment is "${found}", expected skeleton ${skeletonVersion}; stop the pods that use it, then: nft delete table ${table.family} ${table.name}`,
    );
  }
  return { generation: now, exists: true, missingChains };
}

const rulesOf = (chain: Chain): Operation[] =>
  chain.rules.map((expressions) => ({ op: 'append-rule', table: table.name, chain: chain.name, expressions }));
/** The table as it is without pods. */
function skeletonOperations(): Operation[] {
  const name = table.name;
  const chains = skeleton();
  return [
    { op: 'create-table', table: name, comment: tableComment },
    ...chains.map((chain): Operation => ({ op: 'create-chain', table: name, chain })),
    ...setNames.map((set, index): Operation => ({ op: 'create-set', table: name, name: set, id: index + 1, definition: setDefinition(set) })),
    ...chains.flatMap(rulesOf),
  ];
}
/** Chains of subnets that have no pod yet. */
const chainOperations = (names: readonly string[]): Operation[] =>
  names.flatMap((name) => {
    const chain = subnetChain(name);
    return chain === undefined ? [] : [{ op: 'create-chain', table: table.name, chain } as const, ...rulesOf(chain)];
  });
const chainsOf = (elements: readonly Element[]): string[] => [...new Set(elements.flatMap((element) => element.chain ?? []))];
const create = (element: Element): Operation => ({ op: 'create-element', table: table.name, element });
const remove = (element: Element): Operation => ({ op: 'delete-element', table: table.name, element });

/** An entry that another attachment holds. */
export class HeldError extends Error {
  constructor(
    readonly wanted: Element,
    readonly holder: string,
  ) {
    super(`entry of ${wanted.set} is held by ${holder}`);
    this.name = 'HeldError';
  }
}

/**
 * Makes all of `elements` (one attachment's: one comment) present, in one transaction, with the table and the chains
 * they lead to where those are missing. Entries that are there already and carry the same comment are kept. An entry of
 * somebody else is an error ({@link HeldError}) in a port map; in all other sets it is about a pod address that IPAM has
 * just given to this attachment, so its holder is gone: it is taken over.
 * Throws Errno. Nothing is changed when it throws.
 */
export function claim(elements: readonly Element[]): void {
  if (elements.length === 0) return;
  const chains = chainsOf(elements);
  for (let tries = 0; tries < patience; tries++) {
    const seen = state(chains);
    const around = [...(seen.exists ? [] : skeletonOperations()), ...chainOperations(seen.missingChains)];
    try {
      // No generation: what is missing was read, but each creation fails by itself when somebody was faster.
      transaction([...around, ...elements.map(create)]);
      return;
    } catch (error) {
      if (!(error instanceof TransactionError)) throw error;
      const raced = error.failures.some(({ index, errno }) => (index < around.length && errno === EEXIST) || errno === ENOENT);
      if (raced) continue;
      if (!error.failures.every(({ errno }) => errno === EEXIST)) throw error;
      if (displace(elements, state(chains))) return;
    }
  }
  throw new Errno('nftables', EAGAIN, `table ${table.name}`, 'the ruleset kept changing');
}

/** The slow path of {@link claim}: some entries exist. False: the ruleset changed meanwhile, start again. */
function displace(elements: readonly Element[], seen: TableState): boolean {
  if (!seen.exists) return false;
  const present = [...new Set(elements.map((element) => element.set))].flatMap(elementsOf);
  const doomed: Element[] = [];
  const missing: Element[] = [];
  for (const wanted of elements) {
    const rival = present.find((item) => sameEntry(item, wanted));
    if (rival !== undefined && rival.comment !== wanted.comment && isHostPort(wanted))
      throw new HeldError(wanted, rival.comment === '' ? 'an entry without a name' : rival.comment);
    if (rival !== undefined && rival.comment === wanted.comment && sameValue(rival, wanted)) continue;
    if (rival !== undefined) doomed.push(rival);
    missing.push(wanted);
  }
  return swap([...chainOperations(seen.missingChains), ...doomed.map(remove), ...missing.map(create)], seen.generation);
}

/** Runs `operations` if the ruleset is still of `seen`; false when it is not. */
function swap(operations: readonly Operation[], seen: number): boolean {
  try {
    transaction(operations, seen);
    return true;
  } catch (error) {
    if (isErrno(error, 'ERESTART')) return false;
    throw error;
  }
}

/**
 * Compares the table with the skeleton and the chains that elements of `chains` lead to: chains and rules that somebody
 * flushed, deleted or added to. Rules are compared by the kinds of their expressions. Throws Errno when nf_tables cannot be used.
 */
export function tableDamage(chains: readonly string[]): TableDamage[] {
  const whole = (text: string): TableDamage[] => [{ chain: undefined, text }];
  const [first, second] = ask([getGenerationRequest(), getTableRequest(table.name)] as const);
  generationIn(first);
  const name = `table ${table.family} ${table.name}`;
  if (second.errno === ENOENT) return whole(`${name} does not exist`);
  if (second.body === undefined) throw new Errno('nftables', second.errno, `read table ${table.name}`, second.detail);
  const comment = decodeTableComment(second.body);
  if (comment !== tableComment) return whole(`${name} is of another rkt: its comment is "${comment}"`);
  const there = new Set(
    dump(dumpChainsRequest(), 'list chains')
      .filter((body) => body[0] === NFPROTO_INET)
      .map(decodeChain)
      .filter((chain) => chain.table === table.name)
      .map((chain) => chain.name),
  );
  const rules = dump(dumpRulesRequest(table.name), 'list rules').map(decodeRule);
  const wanted = [...skeleton(), ...[...new Set(chains)].map(subnetChain).filter((chain) => chain !== undefined)];
  return wanted.flatMap((chain): TableDamage[] => {
    if (!there.has(chain.name)) return [{ chain: chain.name, text: `chain ${chain.name} of ${name} does not exist` }];
    const found = rules.filter((rule) => rule.table === table.name && rule.chain === chain.name);
    const same = found.length === chain.rules.length && chain.rules.every((rule, i) => expressionNames(rule).join(' ') === found[i]?.names.join(' '));
    if (same) return [];
    const what = found.length === chain.rules.length ? 'has other rules than rkt made' : `has ${found.length} rules, not ${chain.rules.length}`;
    return [{ chain: chain.name, text: `chain ${chain.name} of ${name} ${what}` }];
  });
}

/** All elements of a set, none when there is no table. */
export function elementsOf(set: SetName): Element[] {
  return rawElements(set).flatMap((body) => decodeElements(body));
}
function rawElements(set: SetName): Buffer[] {
  try {
    return dump(dumpElementsRequest(table.name, set), `list set ${set}`);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

/** Sets as they were at a generation: pods free their elements by themselves, so gc finds the same sets unchanged, pod after pod. */
let readAt: { readonly namespace: string; readonly generation: number; readonly sets: Map<SetName, readonly Buffer[]> } | undefined;

/** @param generation - what {@link state} has just said; a set read after that may only be newer, and then the next call sees another one */
function elementsAt(generation: number, set: SetName): readonly Buffer[] {
  const namespace = currentNetns();
  if (readAt?.generation !== generation || readAt.namespace !== namespace) readAt = { namespace, generation, sets: new Map() };
  const bodies = readAt.sets.get(set) ?? rawElements(set);
  readAt.sets.set(set, bodies);
  return bodies;
}

/** A set that has elements. */
const isInhabited = (set: SetName): boolean => rawElements(set).some((body) => decodeElements(body).length > 0);

/** What to remove: one attachment's elements, or all that GC selects. */
export interface Doomed {
  readonly sets: readonly SetName[];
  /** a text every comment to be removed contains: elements without it are skipped unparsed */
  readonly hint: string;
  readonly selects: (comment: string) => boolean;
  /** the elements there should be, from the ADD result; when exactly these are there, the sets are not read */
  readonly expected?: readonly Element[];
}

/**
 * Removes the elements of `sets` whose comment is selected, and returns them. Fine with no table. With `expected` the
 * cost does not grow with other pods' elements; without it each set is dumped (0.1 ms per set and 200 elements).
 * Throws Errno.
 */
export function release({ sets, hint, selects, expected = [] }: Doomed): Element[] {
  const bytes = Buffer.from(hint);
  for (let tries = 0; tries < patience; tries++) {
    const seen = state();
    if (!seen.exists) return [];
    // Keys alone say nothing: an entry is ours when its comment is.
    const known = expected.length > 0 && expected.every((element) => selects(element.comment)) && missingOf(expected).length === 0;
    const found = known
      ? [...expected]
      : sets
          .flatMap((set) => elementsAt(seen.generation, set).flatMap((body) => decodeElements(body, bytes)))
          .filter((element) => selects(element.comment));
    if (found.length === 0 || swap(found.map(remove), seen.generation)) return found;
  }
  throw new Errno('nftables', EAGAIN, `table ${table.name}`, 'the ruleset kept changing');
}

/** Those of `elements` that are not there as given (entry, value and comment). Throws Errno. */
export function missingOf(elements: readonly Element[]): Element[] {
  if (elements.length === 0) return [];
  if (!state().exists) return [...elements];
  const answers = ask(elements.map((element) => getElementRequest(table.name, element)));
  return elements.filter((wanted, index) => {
    const answer = answers[index];
    if (answer?.body === undefined) {
      if (answer !== undefined && answer.errno !== ENOENT && answer.errno !== 0)
        throw new Errno('nftables', answer.errno, `look up in ${wanted.set}`, answer.detail);
      return true;
    }
    return !decodeElements(answer.body).some((found) => sameEntry(found, wanted) && sameValue(found, wanted) && found.comment === wanted.comment);
  });
}

/** The comment of the entry that has `element`'s key; undefined when there is none. Throws Errno. */
export const holderOf = (element: Element): string | undefined => elementsOf(element.set).find((found) => sameEntry(found, element))?.comment;

/** Removes chains of subnets without pods. The kernel itself refuses to delete one that an element leads to. Throws Errno. */
export function removeUnusedChains(): void {
  if (!state().exists) return;
  for (const body of dump(dumpChainsRequest(), 'list chains')) {
    const chain = decodeChain(body);
    if (chain.table !== table.name || body[0] !== NFPROTO_INET || parseSubnetChainName(chain.name) === undefined) continue;
    try {
      transaction([{ op: 'delete-chain', table: table.name, chain: chain.name }]);
    } catch (error) {
      if (!isErrno(error, 'EBUSY', 'ENOENT')) throw error;
    }
  }
}

/** Names of the chains of the table, and how many rules each has. */
function chainSizes(): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const body of dump(dumpChainsRequest(), 'list chains')) {
    const chain = decodeChain(body);
    if (chain.table === table.name && body[0] === NFPROTO_INET) sizes.set(chain.name, 0);
  }
  for (const body of dump(dumpRulesRequest(table.name), 'list rules')) {
    const chain = decodeRuleChain(body);
    sizes.set(chain, (sizes.get(chain) ?? 0) + 1);
  }
  return sizes;
}

/**
 * Gives chains that are gone, or have not as many rules as they were made with, their rules again (`apply`), in one transaction.
 * Rules of ours never change, so their number tells enough; what somebody added to a chain of ours goes.
 * @returns the names of those chains; none without a table, which {@link claim} makes. Throws Errno.
 */
export function mendChains(apply: boolean): string[] {
  for (let tries = 0; tries < patience; tries++) {
    const seen = state();
    if (!seen.exists) return [];
    const sizes = chainSizes();
    const wanted = [...skeleton(), ...[...sizes.keys()].flatMap((name) => subnetChain(name) ?? [])];
    const broken = wanted.filter(({ name, rules }) => sizes.get(name) !== rules.length);
    const operations = broken.flatMap((chain): Operation[] => [
      sizes.has(chain.name) ? { op: 'flush-chain', table: table.name, chain: chain.name } : { op: 'create-chain', table: table.name, chain },
      ...rulesOf(chain),
    ]);
    if (!apply || operations.length === 0 || swap(operations, seen.generation)) return broken.map(({ name }) => name);
  }
  throw new Errno('nftables', EAGAIN, `table ${table.name}`, 'the ruleset kept changing');
}

/**
 * Removes the table if it holds no element. A pod that is attached at the same moment either changes the generation
 * first (the table stays) or finds no table and makes a new one. True when there is no table afterwards. Throws Errno.
 */
export function removeTableIfUnused(): boolean {
  for (let tries = 0; tries < patience; tries++) {
    const seen = state();
    if (!seen.exists) return true;
    if (setNames.some(isInhabited)) return false;
    if (swap([{ op: 'delete-table', table: table.name }], seen.generation)) return true;
  }
  return false;
}
