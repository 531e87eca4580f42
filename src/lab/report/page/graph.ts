/** Who may talk to whom, as arrows. What was chosen in the matrix stands out, and a name can be chosen here as well. */
import { h, svg } from './element.ts';
import { arrowPath, layOut, type Placed } from './layout.ts';
import { shortName } from './matrix.ts';
import type { State } from './model.ts';
import type { Viewer } from './state.ts';

/** More arrows than this are a ball of wool: only those of what is chosen are drawn. */
const mostArrows = 220;
const inset = 10;

interface Arrow {
  readonly from: number;
  readonly to: number;
  readonly state: State;
}

export class Graph {
  readonly element = h('div', { class: 'graph' });
  readonly #viewer: Viewer;

  constructor(viewer: Viewer) {
    this.#viewer = viewer;
    viewer.onChange(() => this.draw());
    this.draw();
  }

  draw(): void {
    const { model, view } = this.#viewer;
    const parties = this.#viewer.rows().map((index) => ({ index, namespace: model.party(index).namespace }));
    const arrows = this.#arrows(parties.map(({ index }) => index));
    const isChosen = ({ from, to }: Arrow): boolean => from === view.from || to === view.to;
    const hasChoice = view.from >= 0 || view.to >= 0;
    const isTooMuch = arrows.length > mostArrows;
    const drawn = isTooMuch ? arrows.filter((one) => hasChoice && isChosen(one)) : arrows;
    const layout = layOut(parties);
    const names = (one: Arrow): string => `arrow ${one.state}${hasChoice ? (isChosen(one) ? ' chosen' : ' faint') : ''}`;
    const picture = svg(
      'svg',
      {
        attributes: {
          viewBox: `0 0 ${layout.width} ${layout.height}`,
          role: 'img',
          'aria-label': `${arrows.length} pairs may talk; the matrix says the same in words`,
        },
      },
      marker(),
      ...layout.headings.map(({ text, x, y, isLeft }) =>
        svg('text', { class: 'heading', text, attributes: { x, y, 'text-anchor': isLeft ? 'end' : 'start' } }),
      ),
      ...drawn.flatMap((one) => {
        const [from, to] = [layout.nodes.get(one.from), layout.nodes.get(one.to)];
        return from === undefined || to === undefined
          ? []
          : [svg('path', { class: names(one), attributes: { d: arrowPath(from, to, inset), 'marker-end': 'url(#tip-of-arrow)' } })];
      }),
      ...[...layout.nodes.values()].map((node) => this.#node(node)),
    );
    const hint = isTooMuch
      ? `${arrows.length} pairs may talk; choose a pod to see its connections.`
      : arrows.length === 0
        ? 'Nobody may talk to anybody here.'
        : '';
    this.element.replaceChildren(picture, ...(hint === '' ? [] : [h('p', { class: 'hint', text: hint })]));
  }

  #arrows(parties: readonly number[]): Arrow[] {
    const { model, view } = this.#viewer;
    return parties.flatMap((from) =>
      parties.flatMap((to): Arrow[] => {
        if (from === to || !(this.#viewer.isOfNamespace(from) || this.#viewer.isOfNamespace(to))) return [];
        const state = model.stateBetween(view.step, from, to, view.filter);
        return state === 'allow' || state === 'mixed' || state === 'wrong' ? [{ from, to, state }] : [];
      }),
    );
  }

  #node({ index, x, y, isLeft }: Placed): SVGElement {
    const { model, view } = this.#viewer;
    const isChosen = view.from === index || view.to === index;
    return svg(
      'g',
      { class: `node${isChosen ? ' chosen' : ''}`, on: { click: () => this.#viewer.show({ from: -1, to: view.to === index ? -1 : index }) } },
      svg('circle', { attributes: { cx: x, cy: y, r: 5 } }),
      svg('text', { text: shortName(model, index), attributes: { x: x + (isLeft ? -12 : 12), y: y + 4, 'text-anchor': isLeft ? 'end' : 'start' } }),
    );
  }
}

const marker = (): SVGElement =>
  svg(
    'defs',
    {},
    svg(
      'marker',
      { attributes: { id: 'tip-of-arrow', viewBox: '0 0 8 8', refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: 'auto-start-reverse' } },
      svg('path', { attributes: { d: 'M0 0L8 4L0 8z' } }),
    ),
  );
