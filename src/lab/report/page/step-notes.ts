/** Below the matrix: what was done before it, what came of that, and what was expected. */
import type { StepData } from '../page-data.ts';
import { h } from './element.ts';
import { becauseText, type Difference, listed, marks, verdictOf } from './model.ts';
import type { Viewer } from './state.ts';

const placed = (file: string, line: number): string => (file === '' ? '' : ` (${file}:${line})`);

export class StepNotes {
  readonly element = h('div', { class: 'notes' });
  readonly #viewer: Viewer;

  constructor(viewer: Viewer) {
    this.#viewer = viewer;
    viewer.onChange((view, before) => {
      if (view.step !== before.step || view.filter !== before.filter) this.draw();
    });
    this.draw();
  }

  draw(): void {
    const { model, view } = this.#viewer;
    this.element.replaceChildren(...stepNotes(this.#viewer, view.step, model.step(view.step)));
  }
}

export function stepNotes(viewer: Viewer, step: number, data: StepData): HTMLElement[] {
  const { model, view } = viewer;
  const isPair = model.data.kind === 'diff';
  const parts: HTMLElement[] = [];
  if (step > 0) {
    const differences = model.differences(step, view.filter);
    if (data.changes.length > 0)
      parts.push(
        h('h3', { text: 'What was done' }),
        h('ul', {}, ...data.changes.map(({ text, file, line }) => h('li', { text: `${text}${placed(file, line)}` }))),
      );
    parts.push(
      h('h3', { text: isPair ? 'What is different' : 'What changed by it' }),
      differences.length === 0
        ? h('p', { text: 'Nothing: every connection comes out as before.' })
        : h('ul', { class: 'differences' }, ...differences.map((one) => differenceOf(viewer, step, one))),
    );
  }
  if (data.expectations.length > 0)
    parts.push(
      h('h3', { text: 'What was expected' }),
      h(
        'ul',
        { class: 'expectations' },
        ...data.expectations.map(({ text, file, line, met, cells }) =>
          h(
            'li',
            { class: met ? 'met' : 'unmet' },
            h('span', { class: `mark ${met ? 'allow' : 'deny'}`, text: met ? marks.allow : marks.deny }),
            ` ${text}${placed(file, line)}${met ? '' : ': not so'}`,
            cells.length > 0 && h('ul', {}, ...cells.map((cell) => h('li', { text: cell }))),
          ),
        ),
      ),
    );
  return parts;
}

function differenceOf(viewer: Viewer, step: number, { after, to, from, connections }: Difference): HTMLElement {
  const { model } = viewer;
  const ports = listed([...new Set(connections.map(({ port }) => model.portName(port)))], 6);
  const verdict = verdictOf(after);
  const cause = model.cause(after);
  const [first] = connections;
  const subject = first === undefined ? 'it' : model.nameOf(cause.direction === 'ingress' ? first.to : first.from);
  const now = verdict === 'allow' ? 'can now reach' : verdict === 'deny' ? 'can no longer reach' : 'has no evidence any more of reaching';
  const place = cause.rule === undefined ? '' : placed(cause.rule.file, cause.rule.line);
  const sentence = `${listed(from.map(model.nameOf), 4)} ${now} ${model.nameOf(to)} on ${ports}`;
  return h(
    'li',
    {},
    h('span', { class: `mark ${verdict === 'no-evidence' ? 'unknown' : verdict}`, text: marks[verdict === 'no-evidence' ? 'unknown' : verdict] }),
    ' ',
    h('button', {
      class: 'link',
      text: sentence,
      attributes: { type: 'button' },
      on: { click: () => viewer.show({ step, from: from[0] ?? -1, to }) },
    }),
    `: ${becauseText(after, cause, subject)}${place}`,
  );
}
