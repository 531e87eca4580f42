/** The answer to what was chosen: two ends, or one. */
import type { OutcomeData, RuleData } from '../page-data.ts';
import { h } from './element.ts';
import { byPort, whyText } from './matrix.ts';
import { becauseText, type Connection, listed, marks, type Model, stateOf, type State, verdictOf } from './model.ts';
import { sourceOf } from './source.ts';
import type { Viewer } from './state.ts';

export class Answers {
  readonly element = h('div', { class: 'answers', attributes: { 'aria-live': 'polite' } });
  readonly #viewer: Viewer;

  constructor(viewer: Viewer) {
    this.#viewer = viewer;
    viewer.onChange((view, before) => {
      this.draw();
      const isNarrow = window.matchMedia('(max-width: 1000px)').matches;
      if (isNarrow && (view.from !== before.from || view.to !== before.to) && (view.from >= 0 || view.to >= 0))
        this.element.scrollIntoView({ block: 'nearest' });
    });
    this.draw();
  }

  draw(): void {
    const { from, to } = this.#viewer.view;
    const parts =
      from >= 0 && to >= 0 ? this.#pair(from, to) : to >= 0 ? this.#reach(to, 'to') : from >= 0 ? this.#reach(from, 'from') : [this.#help()];
    this.element.replaceChildren(...parts);
  }

  #help = (): HTMLElement =>
    h(
      'p',
      { class: 'hint' },
      'Choose a cell to see what decided it and where that is written; a name above or beside the matrix to see who reaches it, or what it reaches; or ask above. With the keyboard: arrow keys walk, Enter chooses, Escape lets go.',
    );

  #title(text: string): HTMLElement {
    return h('h3', { text });
  }

  #traits(party: number): HTMLElement | undefined {
    const { model, view } = this.#viewer;
    const traits = model.data.traits[model.step(view.step).traits[party] ?? -1];
    if (traits === undefined) return undefined;
    const parts = [traits.labels, ...traits.ips, ...traits.ports].filter((text) => text !== '');
    return parts.length === 0 ? undefined : h('p', { class: 'traits', text: `${model.nameOf(party)}: ${parts.join(' · ')}` });
  }

  #pair(from: number, to: number): HTMLElement[] {
    const { model, view } = this.#viewer;
    const connections = model.between(view.step, from, to, view.filter);
    if (connections.length === 0)
      return [
        this.#title(`${model.nameOf(from)} → ${model.nameOf(to)}`),
        h('p', { text: 'This was not asked in this step, or the filter leaves it out.' }),
      ];
    const groups = Map.groupBy(connections, (one) => {
      const outcome = model.outcome(view.step, one);
      return outcome === undefined ? '' : `${stateOf(outcome)} ${whyText(model, outcome, one)} ${JSON.stringify(outcome.measured ?? null)}`;
    });
    return [
      this.#title(`Can ${model.nameOf(from)} reach ${model.nameOf(to)}?`),
      ...[...groups.values()].map((group) => this.#group(group)),
      ...[from, to].flatMap((party) => this.#traits(party) ?? []),
    ];
  }

  #group(group: readonly Connection[]): HTMLElement {
    const { model, view } = this.#viewer;
    const [first] = group;
    const outcome = first === undefined ? undefined : model.outcome(view.step, first);
    if (first === undefined || outcome === undefined) return h('section');
    const state = stateOf(outcome);
    const ports = listed([...new Set(group.map(({ port }) => model.portName(port)))], 12);
    const lanes = lanesText(model, group);
    return h(
      'section',
      { class: `answer ${state}` },
      h('p', { class: 'verdict' }, h('span', { class: `mark ${state}`, text: marks[state] }), ` ${answerWord(state)} on ${ports}${lanes}`),
      ...(outcome.unmeasured === 'loopback'
        ? [h('p', { text: 'What a pod sends to itself never leaves it, so no policy sees it.' })]
        : halves(model, outcome, first)),
      evidence(outcome),
      ...(outcome.ambiguous === undefined
        ? []
        : [h('p', { class: 'warning', text: `Ambiguous: ${listed(outcome.ambiguous)} have one priority and disagree; either may go first.` })]),
    );
  }

  /** Who reaches a party, or what it reaches: those that may first, each with the reason. */
  #reach(party: number, side: 'from' | 'to'): HTMLElement[] {
    const { model, view } = this.#viewer;
    const others = model.present(view.step).filter((one) => one !== party);
    const found = others.flatMap((other) => {
      const connections = side === 'to' ? model.between(view.step, other, party, view.filter) : model.between(view.step, party, other, view.filter);
      return byPort(model, view.step, connections).map((port) => ({ other, ...port }));
    });
    const title = side === 'to' ? `Who can reach ${model.nameOf(party)}?` : `What can ${model.nameOf(party)} reach?`;
    const groups = Map.groupBy(found, ({ state, connections: [first] }) => {
      const outcome = first === undefined ? undefined : model.outcome(view.step, first);
      return `${state}\n${outcome === undefined ? '' : causeText(model, outcome, first)}`;
    });
    const order: readonly State[] = ['wrong', 'unknown', 'allow', 'mixed', 'deny'];
    const sorted = [...groups.values()].sort((a, b) => order.indexOf(a[0]?.state ?? 'none') - order.indexOf(b[0]?.state ?? 'none'));
    const open = new Set(found.filter(({ state }) => state === 'allow' || state === 'mixed').map(({ other }) => other));
    const summary =
      open.size === 0
        ? side === 'to'
          ? 'Nobody.'
          : 'Nobody else.'
        : open.size === others.length
          ? `Everybody: all ${others.length} others, on at least one port.`
          : `${open.size} of ${others.length}: ${listed([...open].map(model.nameOf), 12)}.`;
    return [
      this.#title(title),
      h('p', { class: 'verdict', text: summary }),
      ...sorted.map((group) => this.#reached(group, side)),
      ...[party].flatMap((one) => this.#traits(one) ?? []),
    ];
  }

  #reached(group: readonly { other: number; port: number; state: State; connections: readonly Connection[] }[], side: 'from' | 'to'): HTMLElement {
    const { model, view } = this.#viewer;
    const [first] = group;
    const connection = first?.connections[0];
    const outcome = connection === undefined ? undefined : model.outcome(view.step, connection);
    if (first === undefined || connection === undefined || outcome === undefined) return h('section');
    const cause = model.cause(outcome);
    const names = [...Map.groupBy(group, ({ other }) => other)].map(([other, ports]) => ({
      other,
      ports: ports.map(({ port }) => model.portName(port)),
    }));
    const subject = model.nameOf(cause.direction === 'ingress' ? connection.to : connection.from);
    const isOneSubject = (cause.direction === 'ingress') === (side === 'to') || names.length === 1;
    return h(
      'section',
      { class: `answer ${first.state}` },
      h('p', { class: 'verdict' }, h('span', { class: `mark ${first.state}`, text: marks[first.state] }), ` ${answerWord(first.state)}`),
      h(
        'ul',
        { class: 'names' },
        ...names.map(({ other, ports }) =>
          h(
            'li',
            {},
            h('button', {
              class: 'link',
              text: model.nameOf(other),
              attributes: { type: 'button' },
              on: { click: () => this.#viewer.show(side === 'to' ? { from: other } : { to: other }) },
            }),
            ` ${listed(ports, 8)}`,
          ),
        ),
      ),
      h('p', { text: `Because ${becauseText(outcome, cause, isOneSubject ? subject : 'the pod')}.` }),
      ...ruleParts(model, cause.rule, cause.lines),
    );
  }
}

const answerWord = (state: State): string =>
  ({
    allow: 'Yes, allowed',
    deny: 'No, denied',
    mixed: 'Differs by address family or network',
    self: 'Always',
    unknown: 'No evidence',
    wrong: 'Not as predicted',
    none: 'Not asked',
  })[state];

function lanesText(model: Model, group: readonly Connection[]): string {
  if (model.data.lanes.length < 2) return '';
  const networks = new Set(model.data.lanes.map(({ network }) => network));
  const names = [...new Set(group.map(({ lane }) => lane))].map((lane) => {
    const found = model.data.lanes[lane];
    return found === undefined ? '' : `IPv${found.family}${networks.size > 1 && found.network !== '' ? ` on ${found.network}` : ''}`;
  });
  return ` (${listed(names)})`;
}

const causeText = (model: Model, outcome: OutcomeData, connection: Connection | undefined): string => {
  const cause = model.cause(outcome);
  const subject =
    connection === undefined || cause.reason === 'default' ? '' : model.nameOf(cause.direction === 'ingress' ? connection.to : connection.from);
  return `${cause.direction} ${cause.reason} ${cause.rule?.key ?? ''} ${cause.rule === undefined ? subject : ''}`;
};

/** Both directions: leaving the sender, and arriving. A denial shows the direction that denies first, open. */
function halves(model: Model, outcome: OutcomeData, connection: Connection): HTMLElement[] {
  return (['egress', 'ingress'] as const).map((direction) => {
    const half = outcome[direction];
    const subject = model.nameOf(direction === 'egress' ? connection.from : connection.to);
    const rule = half.rule === undefined ? undefined : model.data.rules[half.rule];
    const cause = { direction, lines: half.lines ?? [], reason: half.reason, ...(rule === undefined ? {} : { rule }) };
    const title = direction === 'egress' ? `Leaving ${subject}` : `Arriving at ${subject}`;
    return h(
      'div',
      { class: 'half' },
      h(
        'p',
        {},
        h('span', { class: `mark ${half.verdict}`, text: marks[half.verdict] }),
        h('strong', { text: ` ${title}: ` }),
        `${half.verdict === 'allow' ? 'allowed' : 'denied'}, because ${becauseText(outcome, cause, subject)}.`,
      ),
      ...ruleParts(model, rule, half.lines ?? []),
    );
  });
}

function ruleParts(model: Model, rule: RuleData | undefined, lines: readonly number[]): HTMLElement[] {
  if (rule === undefined) return [];
  const allows = rule.allows ?? [];
  return [
    ...(rule.allows === undefined
      ? []
      : [h('p', { class: 'allows', text: allows.length === 0 ? 'It allows nothing in this direction.' : `It ${listed(allows, 8)}.` })]),
    sourceOf(model, rule, lines),
  ];
}

/** What packets showed, and which rule the kernel recorded. */
function evidence({ verdict, measured, egress, ingress }: OutcomeData): HTMLElement {
  if (measured === undefined) return h('p', { class: 'evidence', text: 'Predicted; no packet was sent.' });
  const words: Readonly<Record<string, string>> = {
    handshake: 'a TCP handshake was made',
    reply: 'the answer came back',
    delivered: 'it was seen arriving (for SCTP: the INIT)',
    'drop-record': 'the kernel recorded where it dropped it',
    none: 'no trace of it was found',
  };
  const recorded = measured.ingress ?? measured.egress;
  const isSame = verdictOf({ verdict, measured, egress, ingress }) === verdict;
  return h('p', {
    class: `evidence${isSame ? '' : ' warning'}`,
    text: `Measured: ${words[measured.evidence] ?? measured.evidence}${recorded === null ? '' : `; the kernel recorded ${recorded}`}${isSame ? ', as predicted' : `. Predicted: ${verdict === 'allow' ? 'allowed' : 'denied'}`}.`,
  });
}
