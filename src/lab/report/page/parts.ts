/** What stands around the matrix, and the page on paper. */
import { h } from './element.ts';
import { matrixOf, wordOf } from './matrix.ts';
import { marks, type Model, stateOf, type State } from './model.ts';
import { stepNotes } from './step-notes.ts';
import type { Viewer } from './state.ts';

const plural = (count: number, what: string): string => `${count} ${what}${count === 1 ? '' : 's'}`;

export function summary(model: Model): HTMLElement {
  const { name, kind, parties, steps, environment } = model.data;
  const states = steps.flatMap((_, step) => model.connections.map((one) => stateOf(model.outcome(step, one))));
  const count = (state: State): number => states.filter((one) => one === state).length;
  const unmet = steps.flatMap(({ expectations }) => expectations).filter(({ met }) => !met).length;
  const expected = steps.flatMap(({ expectations }) => expectations).length;
  const pods = parties.filter(({ namespace }) => namespace !== '').length;
  const facts = [
    plural(pods, 'pod'),
    ...(steps.length > 1 ? [plural(steps.length, 'step')] : []),
    `${count('allow')} allowed`,
    `${count('deny')} denied`,
  ];
  const wrong: readonly (readonly [number, string])[] = [
    [count('wrong'), 'not as predicted'],
    [count('unknown'), 'without evidence'],
    [unmet, `of ${plural(expected, 'expectation')} not met`],
  ];
  const bad = wrong.filter(([number]) => number > 0);
  return h(
    'header',
    {},
    h('h1', { text: `${name}: network policies` }),
    h(
      'p',
      { class: 'facts' },
      `${facts.join(' · ')} `,
      ...(bad.length > 0
        ? bad.map(([number, text]) => h('strong', { class: 'warning', text: `${number} ${text} ` }))
        : [h('strong', { class: 'good', text: kind === 'measured' ? 'all as predicted' : kind === 'predicted' ? 'predicted, not measured' : '' })]),
    ),
    h('p', { class: 'environment', text: environment.join(' · ') }),
  );
}

export const legend = (): HTMLElement =>
  h(
    'p',
    { class: 'legend' },
    'Rows send, columns receive; one mark a port, in the order of the Port list. ',
    ...(['allow', 'deny', 'mixed', 'self', 'unknown', 'wrong'] as const).flatMap((state) => [
      h('span', { class: `mark ${state}`, text: marks[state] }),
      ` ${wordOf[state]}  `,
    ]),
  );

export function footer(model: Model): HTMLElement {
  const { findings, neverHit, version } = model.data;
  const list = (title: string, items: readonly { readonly text: string; readonly file: string; readonly line: number }[]): HTMLElement[] =>
    items.length === 0
      ? []
      : [
          h('h2', { text: title }),
          h('ul', {}, ...items.map(({ text, file, line }) => h('li', { text: `${text}${file === '' ? '' : ` (${file}:${line})`}` }))),
        ];
  return h(
    'footer',
    {},
    ...list(
      'To look at',
      findings.map(({ text, cure, file, line }) => ({ text: cure === '' ? text : `${text}. ${cure}`, file, line })),
    ),
    ...list(
      'Rules that no packet met',
      neverHit.map(({ key, file, line }) => ({ text: key, file, line })),
    ),
    h('p', { class: 'environment', text: `Made by rkt ${version}.` }),
  );
}

/** Nobody slides a step on paper: there are all of them, one after the other. */
export function paper(viewer: Viewer): { readonly element: HTMLElement; draw(): void } {
  const element = h('div', { class: 'paper' });
  const draw = (): void => {
    const { steps } = viewer.model.data;
    element.replaceChildren(
      ...steps.map((step, at) =>
        h(
          'section',
          {},
          h('h2', { text: steps.length > 1 ? `Step ${at + 1} of ${steps.length}: ${step.name}` : 'Who may talk to whom' }),
          matrixOf(viewer, at, true),
          ...stepNotes(viewer, at, step),
        ),
      ),
      legend(),
    );
  };
  return { element, draw };
}
