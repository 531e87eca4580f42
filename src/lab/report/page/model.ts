/** What a report's data says, asked by step and by ends. Pure: no document. */
import type { OutcomeData, PartyData, ReportData, RuleData, StepData, Verdict } from '../page-data.ts';

/** How a connection, or several, came out. */
export type State = 'allow' | 'deny' | 'mixed' | 'self' | 'unknown' | 'wrong' | 'none';
export const marks: Readonly<Record<State, string>> = { allow: '✓', deny: '✕', mixed: '◐', self: '#', unknown: '?', wrong: '!', none: '' };

export interface Connection {
  readonly id: number;
  readonly from: number;
  readonly to: number;
  readonly port: number;
  readonly lane: number;
}
export interface Filter {
  readonly namespace: string;
  readonly protocol: string;
  /** number of a port and of a lane; -1: all */
  readonly port: number;
  readonly lane: number;
}
export const everything: Filter = { namespace: '', protocol: '', port: -1, lane: -1 };

/** What is taken for true: what packets did, where they were asked. */
export const verdictOf = ({ verdict, measured }: OutcomeData): Verdict | 'no-evidence' => measured?.verdict ?? verdict;

export function stateOf(outcome: OutcomeData | undefined): State {
  if (outcome === undefined) return 'none';
  if (outcome.unmeasured === 'loopback') return 'self';
  const verdict = verdictOf(outcome);
  if (verdict === 'no-evidence') return 'unknown';
  return outcome.measured !== undefined && verdict !== outcome.verdict ? 'wrong' : verdict;
}

/** Several as one: what is wrong shows, else what all have, else that they differ. */
export function joined(states: readonly State[]): State {
  const asked = states.filter((state) => state !== 'none');
  for (const state of ['wrong', 'unknown'] as const) if (asked.includes(state)) return state;
  const [first] = asked;
  return first === undefined ? 'none' : asked.every((state) => state === first) ? first : 'mixed';
}

/** Connections that came out otherwise than in the step before, alike. */
export interface Difference {
  readonly before: OutcomeData;
  readonly after: OutcomeData;
  readonly to: number;
  readonly from: readonly number[];
  readonly connections: readonly Connection[];
}

/** What decided, as text that tells causes apart. */
export interface Cause {
  readonly direction: 'egress' | 'ingress';
  readonly rule?: RuleData;
  readonly lines: readonly number[];
  readonly reason: string;
}

export class Model {
  readonly data: ReportData;
  readonly connections: readonly Connection[];
  readonly #between = new Map<number, Connection[]>();

  constructor(data: ReportData) {
    this.data = data;
    const { connections } = data;
    this.connections = Array.from({ length: connections.length / 4 }, (_, id): Connection => {
      const [from = 0, to = 0, port = 0, lane = 0] = connections.slice(id * 4, id * 4 + 4);
      return { id, from, to, port, lane };
    });
    for (const connection of this.connections) {
      const key = this.#key(connection.from, connection.to);
      const known = this.#between.get(key);
      if (known === undefined) this.#between.set(key, [connection]);
      else known.push(connection);
    }
  }

  #key = (from: number, to: number): number => from * this.data.parties.length + to;
  step = (index: number): StepData => {
    const step = this.data.steps[index];
    if (step === undefined) throw new Error(`no step ${index}`);
    return step;
  };
  party = (index: number): PartyData => this.data.parties[index] ?? { name: '', namespace: '' };
  nameOf = (index: number): string => this.party(index).name;
  portName = (index: number): string => this.data.ports[index] ?? '';

  outcome(step: number, { id }: Connection): OutcomeData | undefined {
    return this.data.outcomes[this.data.steps[step]?.outcomes[id] ?? -1];
  }

  isMeant({ port, lane }: Connection, filter: Filter): boolean {
    return (
      (filter.port < 0 || filter.port === port) &&
      (filter.lane < 0 || filter.lane === lane) &&
      (filter.protocol === '' || this.portName(port).startsWith(`${filter.protocol}/`))
    );
  }

  /** Those that are asked in the step. */
  between(step: number, from: number, to: number, filter: Filter): Connection[] {
    return (this.#between.get(this.#key(from, to)) ?? []).filter((one) => this.isMeant(one, filter) && this.outcome(step, one) !== undefined);
  }

  stateBetween(step: number, from: number, to: number, filter: Filter): State {
    return joined(this.between(step, from, to, filter).map((one) => stateOf(this.outcome(step, one))));
  }

  isChanged(step: number, connection: Connection): boolean {
    if (step === 0) return false;
    const [before, after] = [this.outcome(step - 1, connection), this.outcome(step, connection)];
    return before !== undefined && after !== undefined && verdictOf(before) !== verdictOf(after);
  }

  /** Who is there in the step. With a namespace: its pods, and whoever has to do with them. */
  present(step: number): number[] {
    return this.data.parties.flatMap((_, index) => ((this.data.steps[step]?.traits[index] ?? -1) >= 0 ? [index] : []));
  }

  cause(outcome: OutcomeData): Cause {
    const denies = outcome.egress.verdict === 'deny' ? 'egress' : 'ingress';
    const allows = outcome.ingress.rule === undefined && outcome.egress.rule !== undefined ? 'egress' : 'ingress';
    const direction = outcome.verdict === 'deny' ? denies : allows;
    const { rule, lines = [], reason } = outcome[direction];
    const found = rule === undefined ? undefined : this.data.rules[rule];
    return { direction, lines, reason, ...(found === undefined ? {} : { rule: found }) };
  }

  /** What changed since the step before, alike together. */
  differences(step: number, filter: Filter): Difference[] {
    const groups = new Map<string, { before: OutcomeData; after: OutcomeData; to: number; connections: Connection[] }>();
    for (const connection of this.connections) {
      if (!this.isChanged(step, connection) || !this.isMeant(connection, filter)) continue;
      const [before, after] = [this.outcome(step - 1, connection), this.outcome(step, connection)];
      if (before === undefined || after === undefined) continue;
      const cause = (outcome: OutcomeData): string => `${verdictOf(outcome)} ${this.cause(outcome).rule?.key ?? this.cause(outcome).reason}`;
      const key = `${connection.to} ${cause(before)} ${cause(after)}`;
      const known = groups.get(key);
      if (known === undefined) groups.set(key, { before, after, to: connection.to, connections: [connection] });
      else known.connections.push(connection);
    }
    return [...groups.values()].map((group) => ({ ...group, from: [...new Set(group.connections.map(({ from }) => from))] }));
  }
}

/** Why, in one sentence for people who never read a policy. */
export function becauseText(outcome: OutcomeData, cause: Cause, subject: string): string {
  const { direction, reason, rule } = cause;
  const side = direction === 'ingress' ? 'what reaches it' : 'where it may go';
  switch (reason) {
    case 'rule':
      return rule === undefined ? `a rule of ${subject}'s policies decides` : rule.text === '' ? rule.key : `${rule.key} ${rule.text}`;
    case 'no-rule-matched':
      return `${rule?.key.replace(/ (ingress|egress)$/, '') ?? 'a policy'} selects ${subject} and restricts ${side}, and no rule matches this connection`;
    case 'default':
      return `no policy restricts ${direction === 'ingress' ? `what reaches ${subject}` : `where ${subject} may go`}`;
    case 'own-node':
      return direction === 'ingress' ? 'a pod is always reached by its own node' : 'NetworkPolicy does not keep a pod from its own node';
    case 'not-a-pod':
      return `${subject} is no pod with a network of its own, so no policy is about it`;
    case 'hidden-baseline':
      return `a NetworkPolicy selects ${subject}, which hides the Baseline tier`;
    default:
      return outcome.verdict;
  }
}

/** Labels of what may be long: `a, b and 3 more`. */
export const listed = (names: readonly string[], most = 6): string => {
  if (names.length > most) return `${names.slice(0, most).join(', ')} and ${names.length - most} more`;
  return names.length < 2 ? (names[0] ?? '') : `${names.slice(0, -1).join(', ')} and ${names.at(-1) ?? ''}`;
};
