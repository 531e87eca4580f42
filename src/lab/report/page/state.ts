/** What the reader looks at, and who wants to know when that changes. */
import { everything, type Filter, type Model } from './model.ts';

export interface View {
  readonly step: number;
  readonly filter: Filter;
  /** numbers of parties; -1: none chosen */
  readonly from: number;
  readonly to: number;
  readonly showChanges: boolean;
}

export class Viewer {
  readonly model: Model;
  view: View;
  readonly #listeners: ((view: View, before: View) => void)[] = [];

  constructor(model: Model) {
    this.model = model;
    this.view = { step: 0, filter: everything, from: -1, to: -1, showChanges: true, ...readHash(model) };
  }

  onChange(listener: (view: View, before: View) => void): void {
    this.#listeners.push(listener);
  }

  show(change: Partial<View>): void {
    const before = this.view;
    this.view = { ...before, ...change };
    const { step, from, to } = this.view;
    const parts = [
      `step=${step + 1}`,
      ...(from < 0 ? [] : [`from=${encodeURIComponent(this.model.nameOf(from))}`]),
      ...(to < 0 ? [] : [`to=${encodeURIComponent(this.model.nameOf(to))}`]),
    ];
    history.replaceState(null, '', `#${parts.join('&')}`);
    for (const listener of this.#listeners) listener(this.view, before);
  }

  /** Parties to be shown: of a namespace, with whoever else there is on the other side. */
  rows(step = this.view.step): number[] {
    return this.model.present(step);
  }
  isOfNamespace(party: number): boolean {
    const { namespace } = this.view.filter;
    return namespace === '' || this.model.party(party).namespace === namespace;
  }
}

/** A link may say what to look at: `#step=3&from=shop/web&to=shop/db`. */
function readHash(model: Model): Partial<View> {
  const asked = new URLSearchParams(location.hash.slice(1));
  const step = Number(asked.get('step') ?? '1') - 1;
  const number = (name: string | null): number => model.data.parties.findIndex((party) => party.name === name);
  return {
    step: Number.isInteger(step) && step >= 0 && step < model.data.steps.length ? step : 0,
    from: number(asked.get('from')),
    to: number(asked.get('to')),
  };
}
