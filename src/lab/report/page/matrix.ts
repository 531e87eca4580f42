/** The matrix: rows send, columns receive. A grid that arrow keys walk through. */
import type { OutcomeData } from '../page-data.ts';
import { h } from './element.ts';
import { becauseText, type Connection, joined, marks, type Model, type State, stateOf, verdictOf } from './model.ts';
import type { Viewer } from './state.ts';

/** Beyond, ports of a pair are one mark: a cell must stay small. */
const mostMarks = 4;
const mostParties = 40;

export const wordOf: Readonly<Record<State, string>> = {
  allow: 'allowed',
  deny: 'denied',
  mixed: 'some allowed, some denied',
  self: 'to itself, always allowed',
  unknown: 'no evidence either way',
  wrong: 'not as predicted',
  none: 'not asked',
};

/** Connections that only differ in family or network are told together. */
export function byPort(
  model: Model,
  step: number,
  connections: readonly Connection[],
): { port: number; state: State; connections: readonly Connection[] }[] {
  return [...Map.groupBy(connections, ({ port }) => port)].map(([port, group]) => ({
    port,
    state: joined(group.map((one) => stateOf(model.outcome(step, one)))),
    connections: group,
  }));
}

/** `TCP/80 allowed: …`, a line each, for the tip and for who listens to the page. */
export function tipOf(model: Model, step: number, connections: readonly Connection[]): string[] {
  return byPort(model, step, connections).flatMap(({ port, state, connections: group }) => {
    const outcome = group.map((one) => model.outcome(step, one)).find((one) => one !== undefined);
    return outcome === undefined ? [] : [`${model.portName(port)} ${wordOf[state]}: ${whyText(model, outcome, group[0])}`];
  });
}
export function whyText(model: Model, outcome: OutcomeData, connection: Connection | undefined): string {
  if (outcome.unmeasured === 'loopback') return 'the traffic never leaves it';
  const cause = model.cause(outcome);
  const subject = connection === undefined ? 'it' : model.nameOf(cause.direction === 'ingress' ? connection.to : connection.from);
  const place = cause.rule === undefined ? '' : ` (${cause.rule.file}:${cause.rule.line})`;
  const found = verdictOf(outcome);
  const head =
    found === outcome.verdict
      ? ''
      : found === 'no-evidence'
        ? 'packets showed nothing; predicted '
        : `packets were ${found === 'allow' ? 'let through' : 'dropped'}; predicted otherwise, since `;
  return `${head}${becauseText(outcome, cause, subject)}${place}`;
}

interface Column {
  readonly namespace: string;
  readonly members: number[];
}
function columnsOf(model: Model, parties: readonly number[]): Column[] {
  const columns: Column[] = [];
  for (const party of parties) {
    const { namespace } = model.party(party);
    const last = columns.at(-1);
    if (last?.namespace === namespace) last.members.push(party);
    else columns.push({ namespace, members: [party] });
  }
  return columns;
}
export const shortName = (model: Model, party: number): string => {
  const { name, namespace } = model.party(party);
  return namespace === '' ? name : name.slice(namespace.length + 1);
};

/** The table of one step; `isStatic`: on paper nobody walks through it. */
export function matrixOf(viewer: Viewer, step: number, isStatic = false): HTMLTableElement {
  const { model, view } = viewer;
  const all = viewer.rows(step);
  const own = all.filter((party) => viewer.isOfNamespace(party));
  const isOwn = new Set(own);
  const others = all.filter(
    (party) => isOwn.has(party) || all.some((one) => isOwn.has(one) && model.between(step, one, party, view.filter).length > 0),
  );
  const shown = view.filter.namespace === '' ? all : others;
  const columns = columnsOf(model, shown);
  const firsts = new Set(columns.flatMap(({ members }) => members.slice(0, 1)));
  const isDense = shown.length > mostParties;
  const edge = (party: number): string => (firsts.has(party) ? ' edge' : '');
  const head = h(
    'thead',
    {},
    h(
      'tr',
      {},
      h('td', { class: 'corner', attributes: { colspan: 2, rowspan: 2 } }, 'from ↓  to →'),
      ...columns.map(({ namespace, members }) =>
        h('th', {
          class: 'namespace edge',
          text: namespace === '' ? 'not pods' : namespace,
          attributes: { colspan: members.length, scope: 'colgroup' },
        }),
      ),
    ),
    h('tr', {}, ...shown.map((to) => headOf(viewer, to, 'column', isStatic, `column${edge(to)}`))),
  );
  const rows = columns.flatMap(({ namespace, members }) =>
    members.map((from, place) =>
      h(
        'tr',
        { class: place === 0 ? 'edge' : '' },
        place === 0 &&
          h(
            'th',
            { class: 'namespace', attributes: { rowspan: members.length, scope: 'rowgroup' } },
            h('span', { text: namespace === '' ? 'not pods' : namespace }),
          ),
        headOf(viewer, from, 'row', isStatic, 'row'),
        ...shown.map((to) => {
          const isShown = isOwn.has(from) || isOwn.has(to);
          return cellOf(viewer, step, from, to, isShown ? model.between(step, from, to, view.filter) : [], { isDense, isStatic, edge: edge(to) });
        }),
      ),
    ),
  );
  return h(
    'table',
    {
      class: `matrix${isDense ? ' dense' : ''}`,
      attributes: { role: 'grid', 'aria-label': `who may talk to whom, step ${model.step(step).name}: rows send, columns receive` },
    },
    head,
    h('tbody', {}, ...rows),
  );
}

function headOf(viewer: Viewer, party: number, side: 'row' | 'column', isStatic: boolean, names: string): HTMLElement {
  const text = shortName(viewer.model, party);
  const name = viewer.model.nameOf(party);
  const question = side === 'row' ? `What can ${name} reach?` : `Who can reach ${name}?`;
  const content = isStatic
    ? h('span', { text })
    : h('button', { text, attributes: { type: 'button', title: question, 'aria-label': question, 'data-side': side, 'data-party': party } });
  return h('th', { class: names, attributes: { scope: side === 'row' ? 'row' : 'col' } }, content);
}

interface CellOptions {
  readonly isDense: boolean;
  readonly isStatic: boolean;
  readonly edge: string;
}
function cellOf(
  { model, view }: Viewer,
  step: number,
  from: number,
  to: number,
  connections: readonly Connection[],
  { isDense, isStatic, edge }: CellOptions,
): HTMLElement {
  const ports = byPort(model, step, connections);
  const state = joined(ports.map((one) => one.state));
  const isChanged = view.showChanges && connections.some((one) => model.isChanged(step, one));
  const isTogether = isDense || ports.length > mostMarks;
  const shown = isTogether ? [{ state }] : ports;
  const content = shown.map((one) => h('span', { class: `mark ${one.state}`, text: marks[one.state] }));
  const names = `cell ${state}${edge}${isChanged ? ' changed' : ''}`;
  if (isStatic) return h('td', { class: names }, ...content);
  const attributes = { role: 'gridcell', tabindex: -1, 'data-from': from, 'data-to': to, 'aria-selected': view.from === from && view.to === to };
  // In a large matrix what a cell says is made when it is looked at.
  const label = isDense
    ? undefined
    : `${model.nameOf(from)} to ${model.nameOf(to)}: ${ports.map((one) => `${model.portName(one.port)} ${wordOf[one.state]}`).join(', ') || 'not asked'}${isChanged ? ', changed in this step' : ''}`;
  return h(
    'td',
    { class: `${names}${view.from === from && view.to === to ? ' chosen' : ''}`, attributes: { ...attributes, 'aria-label': label } },
    ...content,
  );
}
