/** Pointer and keys in the matrix: a tip, a cross, a choice. */
import { h } from './element.ts';
import { matrixOf, tipOf } from './matrix.ts';
import type { Viewer } from './state.ts';

const cellAt = (target: EventTarget | null): HTMLElement | undefined =>
  target instanceof Element ? (target.closest<HTMLElement>('td.cell') ?? undefined) : undefined;
const numberOf = (element: Element, name: string): number => Number(element.getAttribute(`data-${name}`) ?? '-1');

/** The matrix of the step that is looked at, always. */
export class Grid {
  readonly element = h('div', { class: 'scroll', attributes: { id: 'matrix' } });
  readonly #viewer: Viewer;
  readonly #tip = h('div', { class: 'tip', attributes: { role: 'tooltip', id: 'tip', hidden: true } });
  #table: HTMLTableElement | undefined;

  constructor(viewer: Viewer) {
    this.#viewer = viewer;
    document.body.append(this.#tip);
    const { element } = this;
    element.addEventListener('pointerover', ({ target }) => this.#point(cellAt(target)));
    element.addEventListener('pointerleave', () => this.#point(undefined));
    element.addEventListener('focusin', ({ target }) => this.#point(cellAt(target)));
    element.addEventListener('focusout', () => this.#point(undefined));
    element.addEventListener('click', ({ target }) => this.#choose(target));
    element.addEventListener('keydown', (event) => this.#key(event));
    viewer.onChange((view, before) => {
      if (view.step !== before.step || view.filter !== before.filter || view.showChanges !== before.showChanges) this.draw();
      else this.#mark();
    });
    this.draw();
  }

  draw(): void {
    this.#point(undefined);
    const hadFocus = this.element.contains(document.activeElement);
    this.#table = matrixOf(this.#viewer, this.#viewer.view.step);
    this.element.replaceChildren(this.#table);
    const first = this.#table.querySelector<HTMLElement>('td.chosen') ?? this.#table.querySelector<HTMLElement>('td.cell');
    if (first !== null) first.tabIndex = 0;
    if (hadFocus) first?.focus();
    this.#mark();
  }

  #mark(): void {
    const { from, to } = this.#viewer.view;
    for (const cell of this.element.querySelectorAll('td.chosen')) {
      cell.classList.remove('chosen');
      cell.setAttribute('aria-selected', 'false');
    }
    const chosen = from < 0 || to < 0 ? null : this.element.querySelector(`td[data-from="${from}"][data-to="${to}"]`);
    chosen?.classList.add('chosen');
    chosen?.setAttribute('aria-selected', 'true');
    for (const button of this.element.querySelectorAll('th button'))
      button.classList.toggle('chosen', numberOf(button, 'party') === (button.getAttribute('data-side') === 'row' ? from : to));
  }

  #choose(target: EventTarget | null): void {
    const cell = cellAt(target);
    if (cell !== undefined) {
      this.#viewer.show({ from: numberOf(cell, 'from'), to: numberOf(cell, 'to') });
      cell.focus();
      return;
    }
    const button = target instanceof Element ? target.closest('th button') : null;
    if (button === null) return;
    const party = numberOf(button, 'party');
    this.#viewer.show(button.getAttribute('data-side') === 'row' ? { from: party, to: -1 } : { from: -1, to: party });
  }

  #key(event: KeyboardEvent): void {
    const cell = cellAt(event.target);
    if (event.key === 'Escape') this.#viewer.show({ from: -1, to: -1 });
    if (cell === undefined) return;
    if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      this.#choose(cell);
      return;
    }
    const row = cell.closest('tr');
    const cells = row === null ? [] : [...row.querySelectorAll<HTMLElement>('td.cell')];
    const column = cells.indexOf(cell);
    const rows = [...(this.#table?.tBodies[0]?.rows ?? [])];
    const line = rows.findIndex((one) => one === row);
    const inRow = (at: number, place: number): HTMLElement | undefined => rows[at]?.querySelectorAll<HTMLElement>('td.cell')[place];
    const moves: Readonly<Record<string, () => HTMLElement | undefined>> = {
      ArrowLeft: () => cells[column - 1],
      ArrowRight: () => cells[column + 1],
      ArrowUp: () => inRow(line - 1, column),
      ArrowDown: () => inRow(line + 1, column),
      Home: () => cells[0],
      End: () => cells.at(-1),
      PageUp: () => inRow(0, column),
      PageDown: () => inRow(rows.length - 1, column),
    };
    const next = moves[event.key]?.();
    if (moves[event.key] !== undefined) event.preventDefault();
    if (next === undefined) return;
    cell.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }

  /** Tip and cross, at the cell that is pointed at or has the focus. */
  #point(cell: HTMLElement | undefined): void {
    for (const old of this.element.querySelectorAll('.crossed')) old.classList.remove('crossed');
    if (cell === undefined) {
      this.#tip.hidden = true;
      return;
    }
    const { model, view } = this.#viewer;
    const [from, to] = [numberOf(cell, 'from'), numberOf(cell, 'to')];
    this.element.querySelector(`button[data-side="row"][data-party="${from}"]`)?.classList.add('crossed');
    this.element.querySelector(`button[data-side="column"][data-party="${to}"]`)?.classList.add('crossed');
    const lines = tipOf(model, view.step, model.between(view.step, from, to, view.filter));
    this.#tip.replaceChildren(
      h('strong', { text: `${model.nameOf(from)} → ${model.nameOf(to)}` }),
      ...(lines.length === 0 ? ['not asked'] : lines).slice(0, 8).map((text) => h('div', { text })),
    );
    this.#tip.hidden = false;
    const box = cell.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = this.#tip;
    const left = Math.max(8, Math.min(box.left, document.documentElement.clientWidth - width - 8));
    const isBelow = box.bottom + height + 10 < window.innerHeight;
    this.#tip.style.left = `${left + window.scrollX}px`;
    this.#tip.style.top = `${(isBelow ? box.bottom + 6 : box.top - height - 6) + window.scrollY}px`;
    cell.setAttribute('aria-describedby', 'tip');
  }
}
