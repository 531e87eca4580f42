/** Elements from values. Text becomes text nodes: nothing that is given here is ever read as markup. */

type Child = Node | string | undefined | false;
interface Properties {
  readonly class?: string;
  readonly text?: string;
  readonly on?: Readonly<Record<string, (event: Event) => void>>;
  readonly attributes?: Readonly<Record<string, string | number | boolean | undefined>>;
}

function fill<E extends Element>(element: E, { class: names, text, on = {}, attributes = {} }: Properties, children: readonly Child[]): E {
  if (names !== undefined && names !== '') element.setAttribute('class', names);
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes))
    if (value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : String(value));
  for (const [name, listener] of Object.entries(on)) element.addEventListener(name, listener);
  element.append(...children.filter((child) => child !== undefined && child !== false));
  return element;
}

export const h = <K extends keyof HTMLElementTagNameMap>(tag: K, properties: Properties = {}, ...children: Child[]): HTMLElementTagNameMap[K] =>
  fill(document.createElement(tag), properties, children);

export const svg = <K extends keyof SVGElementTagNameMap>(tag: K, properties: Properties = {}, ...children: Child[]): SVGElementTagNameMap[K] =>
  fill(document.createElementNS('http://www.w3.org/2000/svg', tag), properties, children);
