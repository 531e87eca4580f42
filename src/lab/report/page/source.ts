/** YAML with the line that decided, marked. */
import type { RuleData } from '../page-data.ts';
import { h } from './element.ts';
import type { Model } from './model.ts';

const around = 5;

/** The lines around; all of the file on demand. */
export function sourceOf(model: Model, { file, line }: Pick<RuleData, 'file' | 'line'>, further: readonly number[] = []): HTMLElement {
  const text = model.data.files.find((one) => one.file === file)?.text;
  const title = h('figcaption', { text: `${file}:${line}` });
  if (text === undefined) return h('figure', { class: 'source' }, title);
  const lines = text.split('\n');
  const last = Math.max(line, ...further);
  const isMarked = (number: number): boolean => number === line || further.includes(number);
  const block = (from: number, to: number): HTMLElement =>
    h(
      'pre',
      { attributes: { tabindex: 0, 'aria-label': `${file}, lines ${from} to ${to}` } },
      ...lines.slice(from - 1, to).map((content, at) => {
        const number = from + at;
        const isHere = isMarked(number);
        return h(
          isHere ? 'mark' : 'span',
          { class: `line${number === line ? ' deciding' : ''}` },
          h('span', { class: 'number', text: `${isHere ? '▸' : ' '}${String(number).padStart(4)}  ` }),
          content === '' ? ' ' : content,
        );
      }),
    );
  const from = Math.max(1, line - around);
  const to = Math.min(lines.length, last + around);
  const few = block(from, to);
  if (from === 1 && to === lines.length) return h('figure', { class: 'source' }, title, few);
  const whole = h('button', {
    class: 'link',
    text: 'whole file',
    attributes: { type: 'button', 'aria-expanded': 'false' },
    on: {
      click: () => {
        const all = block(1, lines.length);
        figure.querySelector('pre')?.replaceWith(all);
        whole.remove();
        all.querySelector('.deciding')?.scrollIntoView({ block: 'nearest' });
        all.focus();
      },
    },
  });
  title.append(' ', whole);
  const figure = h('figure', { class: 'source' }, title, few);
  return figure;
}
