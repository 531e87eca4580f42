/** What the reader turns: step, filter, question, colours. */
import { h } from './element.ts';
import { shortName } from './matrix.ts';
import type { Filter, Model } from './model.ts';
import type { Viewer } from './state.ts';

interface Choice {
  readonly text: string;
  readonly value: string;
}
const select = (label: string, choices: readonly Choice[], value: string, onChoice: (value: string) => void): HTMLLabelElement => {
  const options = choices.map((choice) => h('option', { text: choice.text, attributes: { value: choice.value, selected: choice.value === value } }));
  const element = h('select', { on: { change: () => onChoice(element.value) } }, ...options);
  return h('label', {}, h('span', { text: label }), element);
};

export function controls(viewer: Viewer): HTMLElement {
  const { model } = viewer;
  return h(
    'nav',
    { class: 'controls screen', attributes: { 'aria-label': 'what to look at' } },
    ...(model.data.steps.length > 1 ? [stepper(viewer)] : []),
    h('div', { class: 'filters' }, ...filters(viewer)),
    question(viewer),
    themeSwitch(),
  );
}

function stepper(viewer: Viewer): HTMLElement {
  const { steps } = viewer.model.data;
  const last = steps.length - 1;
  const name = h('output', { attributes: { 'aria-live': 'polite' } });
  const go = (step: number): void => viewer.show({ step: Math.max(0, Math.min(last, step)) });
  const slider = h('input', {
    attributes: { type: 'range', min: 1, max: last + 1, step: 1, 'aria-label': 'step' },
    on: { input: () => go(Number(slider.value) - 1) },
  });
  const button = (text: string, label: string, by: number): HTMLButtonElement =>
    h('button', { text, attributes: { type: 'button', 'aria-label': label }, on: { click: () => go(viewer.view.step + by) } });
  const [back, on] = [button('◀', 'step before', -1), button('▶', 'next step', 1)];
  const ticks = h(
    'div',
    { class: 'ticks' },
    ...steps.map((step, at) => h('button', { text: `${at + 1} ${step.name}`, attributes: { type: 'button' }, on: { click: () => go(at) } })),
  );
  const draw = (): void => {
    const { step } = viewer.view;
    slider.value = String(step + 1);
    slider.setAttribute('aria-valuetext', `step ${step + 1} of ${last + 1}: ${steps[step]?.name ?? ''}`);
    name.textContent = `Step ${step + 1} of ${last + 1}: ${steps[step]?.name ?? ''}`;
    back.disabled = step === 0;
    on.disabled = step === last;
    for (const [at, tick] of [...ticks.children].entries()) tick.classList.toggle('chosen', at === step);
  };
  viewer.onChange(draw);
  draw();
  return h('div', { class: 'stepper' }, h('div', { class: 'slide' }, back, slider, on, name), ticks);
}

function filters(viewer: Viewer): HTMLElement[] {
  const { model } = viewer;
  const { ports, lanes, parties, steps } = model.data;
  const namespaces = [...new Set(parties.map(({ namespace }) => namespace))].filter((name) => name !== '');
  const narrow = (change: Partial<Filter>): void => viewer.show({ filter: { ...viewer.view.filter, ...change } });
  const all = (text: string, value = '-1'): Choice => ({ text, value });
  const shown: HTMLElement[] = [];
  if (namespaces.length > 1)
    shown.push(select('Namespace', [all('all', ''), ...namespaces.map((text) => ({ text, value: text }))], '', (namespace) => narrow({ namespace })));
  if (ports.length > 1)
    shown.push(
      select('Port', [all('all'), ...ports.map((text, at) => ({ text, value: String(at) }))], '-1', (port) => narrow({ port: Number(port) })),
    );
  if (lanes.length > 1)
    shown.push(
      select(
        'Addresses',
        [all('all'), ...lanes.map(({ family, network }, at) => ({ text: `IPv${family}${network === '' ? '' : ` ${network}`}`, value: String(at) }))],
        '-1',
        (lane) => narrow({ lane: Number(lane) }),
      ),
    );
  if (steps.length > 1) {
    const box = h('input', { attributes: { type: 'checkbox', checked: true }, on: { change: () => viewer.show({ showChanges: box.checked }) } });
    shown.push(h('label', { class: 'check' }, box, 'outline what changed'));
  }
  return shown;
}

/** Two ends chosen by name: for who does not want to look for them in the matrix. */
function question(viewer: Viewer): HTMLElement {
  const { model } = viewer;
  const draw = (): HTMLElement[] => {
    const { from, to, step } = viewer.view;
    const present = model.present(step);
    return [
      select('Can', choices(model, present, 'anybody'), String(from), (value) => viewer.show({ from: Number(value) })),
      select('reach', choices(model, present, 'whom?'), String(to), (value) => viewer.show({ to: Number(value) })),
    ];
  };
  const element = h('div', { class: 'question' }, ...draw());
  viewer.onChange((view, before) => {
    if (view.from !== before.from || view.to !== before.to || view.step !== before.step) element.replaceChildren(...draw());
  });
  return element;
}
const choices = (model: Model, parties: readonly number[], none: string): Choice[] => [
  { text: none, value: '-1' },
  ...parties.map((party) => ({ text: model.party(party).namespace === '' ? shortName(model, party) : model.nameOf(party), value: String(party) })),
];

function themeSwitch(): HTMLElement {
  const isDark = (): boolean => {
    const chosen = document.documentElement.getAttribute('data-theme');
    return chosen === null ? window.matchMedia('(prefers-color-scheme: dark)').matches : chosen === 'dark';
  };
  const button = h('button', {
    class: 'theme',
    attributes: { type: 'button' },
    on: {
      click: () => {
        document.documentElement.setAttribute('data-theme', isDark() ? 'light' : 'dark');
        name();
      },
    },
  });
  const name = (): void => {
    button.textContent = isDark() ? '☀ light' : '☾ dark';
  };
  name();
  return button;
}
