/** Gathers what a report speaks of, each thing once, and calls it by number afterwards. Pure. */
import { portKey } from '../../policy/model/experiment.ts';
import { podsText, ruleText } from '../../policy/decision/describe.ts';
import { type Policy, policyKey, ruleKey } from '../../policy/model/policy.ts';
import type { Direction, Source } from '../../policy/model/values.ts';
import type { ReportCell, ReportStep } from './data.ts';
import type { HalfData, LaneData, OutcomeData, PartyData, RuleData, StepData, TraitsData } from './page-data.ts';

/** Values in the order in which they came, found by what they are. */
class Table<T> {
  readonly list: T[] = [];
  readonly #numbers = new Map<string, number>();

  number(key: string, make: () => T): number {
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    const number = this.list.push(make()) - 1;
    this.#numbers.set(key, number);
    return number;
  }
  get(key: string): number | undefined {
    return this.#numbers.get(key);
  }
}

const namespaceOf = (name: string): string => {
  const at = name.indexOf('/');
  const first = name.slice(0, Math.max(at, 0));
  return first === 'outside' || first === 'node' ? '' : first;
};
/** Pods by name, then who is no pod. */
const byName = (a: string, b: string): number => Number(namespaceOf(a) === '') - Number(namespaceOf(b) === '') || (a < b ? -1 : a > b ? 1 : 0);

/** Where each rule of a policy, and its isolation, is written, and what it says. */
const saidBy = (policy: Policy): { key: string; source: Source; text: string; allows?: readonly string[] }[] =>
  policy.directions.flatMap((direction) => {
    const rules = policy[direction].map((rule) => ({ key: ruleKey(policy, direction, rule), source: rule.source, text: ruleText(rule, direction) }));
    const whole = {
      key: ruleKey(policy, direction),
      source: policy.source,
      text: `${policyKey(policy)} is for ${podsText(policy.subject)}`,
      allows: rules.map(({ text }) => text),
    };
    return [whole, ...rules];
  });

export class Gathered {
  #parties: PartyData[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #names = new Set<string>();
  readonly #ports = new Table<string>();
  readonly #lanes = new Table<LaneData>();
  readonly #traits = new Table<TraitsData>();
  readonly #rules = new Table<RuleData>();
  readonly #outcomes = new Table<OutcomeData>();
  readonly #connections = new Table<readonly [number, number, number, number]>();

  get parties(): readonly PartyData[] {
    return this.#parties;
  }
  get ports(): readonly string[] {
    return this.#ports.list;
  }
  get lanes(): readonly LaneData[] {
    return this.#lanes.list;
  }
  get traits(): readonly TraitsData[] {
    return this.#traits.list;
  }
  get rules(): readonly RuleData[] {
    return this.#rules.list;
  }
  get outcomes(): readonly OutcomeData[] {
    return this.#outcomes.list;
  }
  get connections(): readonly number[] {
    return this.#connections.list.flat();
  }

  /** Everything of a step is met before any step is numbered: names are sorted over all of them. */
  meet(policies: readonly Policy[], traits: ReadonlyMap<string, TraitsData>, cells: readonly ReportCell[]): void {
    for (const policy of policies)
      for (const { key, source, text, allows } of saidBy(policy))
        this.#rules.number(ruleId(key, source), () => ({
          key,
          file: source.file,
          line: source.line,
          text,
          ...(allows === undefined ? {} : { allows }),
        }));
    const ends = new Set(cells.flatMap(({ from, to }) => [from, to]));
    for (const name of ends) this.#names.add(name);
    const ports = new Map(cells.map((cell) => [portKey(cell), cell]));
    for (const key of ports.keys()) this.#ports.number(key, () => key);
    for (const text of traits.values()) this.#traits.number(JSON.stringify(text), () => text);
    this.#parties = [...this.#names].sort(byName).map((name) => ({ name, namespace: namespaceOf(name) }));
    for (const [index, { name }] of this.#parties.entries()) this.#numbers.set(name, index);
  }

  step({ name, cells, lines = [], traits, changes, expectations, applyMs, probeMs }: ReportStep): StepData {
    const outcomes: number[] = [];
    for (const [index, cell] of cells.entries()) outcomes[this.#connection(cell)] = this.#outcome(cell, lines[index]);
    const present = new Set(cells.flatMap(({ from, to }) => [from, to]));
    return {
      name,
      changes,
      outcomes,
      traits: this.#parties.map((party) => {
        const own = traits.get(party.name);
        if (own !== undefined) return this.#traits.get(JSON.stringify(own)) ?? -1;
        const none: TraitsData = { labels: '', ips: [], ports: [] };
        return present.has(party.name) ? this.#traits.number(JSON.stringify(none), () => none) : -1;
      }),
      expectations,
      ...(applyMs === undefined ? {} : { applyMs }),
      ...(probeMs === undefined ? {} : { probeMs }),
    };
  }

  #connection(cell: ReportCell): number {
    const { from, to, family, network } = cell;
    const numbers = [
      this.#numbers.get(from) ?? 0,
      this.#numbers.get(to) ?? 0,
      this.#ports.number(portKey(cell), () => portKey(cell)),
      this.#lanes.number(`${family} ${network}`, () => ({ family, network })),
    ] as const;
    return this.#connections.number(numbers.join(' '), () => numbers);
  }

  #outcome({ predicted, measured, unmeasured }: ReportCell, lines: Readonly<Record<Direction, readonly number[]>> | undefined): number {
    const half = (direction: Direction): HalfData => {
      const key = predicted.rules[direction];
      const place = predicted.places[direction];
      const rule = key === null || place === null ? undefined : this.#rules.number(ruleId(key, place), () => ({ key, ...place, text: '' }));
      const further = lines?.[direction] ?? [];
      return {
        verdict: predicted[direction],
        reason: predicted.reasons[direction],
        ...(rule === undefined ? {} : { rule }),
        ...(further.length === 0 ? {} : { lines: further }),
      };
    };
    const outcome: OutcomeData = {
      verdict: predicted.verdict,
      egress: half('egress'),
      ingress: half('ingress'),
      ...(predicted.ambiguous === undefined ? {} : { ambiguous: predicted.ambiguous }),
      ...(unmeasured === undefined ? {} : { unmeasured }),
      ...(measured === undefined || measured === null
        ? {}
        : { measured: { verdict: measured.verdict, evidence: measured.evidence, egress: measured.rules.egress, ingress: measured.rules.ingress } }),
    };
    return this.#outcomes.number(JSON.stringify(outcome), () => outcome);
  }
}

const ruleId = (key: string, { file, line }: { readonly file: string; readonly line: number }): string => `${key}\n${file}\n${line}`;
