/** Who a policy is about, found for the compiler. The decision has its own: the two check each other. Pure. */
import type { Ip } from '../../model/cidr.ts';
import type { World } from '../model/experiment.ts';
import type { PodMatch } from '../model/policy.ts';
import { podKey, type Labels, type Pod, type Selector } from '../model/values.ts';

/** A pod's addresses on one network. */
export interface Place {
  readonly pod: Pod;
  readonly network: string;
  readonly ips: readonly Ip[];
}

function satisfies(labels: Labels, { requirements }: Selector): boolean {
  return requirements.every(({ key, operator, values }) => {
    const value = Object.hasOwn(labels, key) ? labels[key] : undefined;
    switch (operator) {
      case 'In':
        return value !== undefined && values.includes(value);
      case 'NotIn':
        return value === undefined || !values.includes(value);
      case 'Exists':
        return value !== undefined;
      case 'DoesNotExist':
        return value === undefined;
    }
  });
}
export const matchesLabels = (labels: Labels, selector: Selector | undefined): boolean => selector === undefined || satisfies(labels, selector);

/** The pods of a world, by what policies say of them. Pods that ended (R42) or have no address of their own (R36) are not there. */
export class Selection {
  readonly #places: readonly Place[];
  readonly #namespaces: ReadonlyMap<string, Labels>;
  /** by what a match says, for many policies say the same */
  readonly #found = new Map<string, ReadonlySet<string>>();
  readonly #onNetwork = new Map<string, readonly Place[]>();
  readonly #pods: readonly Pod[];

  constructor(world: World) {
    this.#pods = world.pods.filter(({ ended, hostNetwork }) => !ended && !hostNetwork);
    this.#places = this.#pods.flatMap((pod) => pod.interfaces.map(({ network, ips }) => ({ pod, network, ips })));
    this.#namespaces = new Map(world.namespaces.map(({ name, labels }) => [name, labels]));
  }

  places(network: string): readonly Place[] {
    const known = this.#onNetwork.get(network);
    if (known !== undefined) return known;
    const found = this.#places.filter((place) => place.network === network);
    this.#onNetwork.set(network, found);
    return found;
  }

  /** Keys of the pods that match. */
  pods(match: PodMatch): ReadonlySet<string> {
    const text = textOf(match);
    const known = this.#found.get(text);
    if (known !== undefined) return known;
    const found = new Set(this.#pods.filter((pod) => this.#matches(pod, match)).map(podKey));
    this.#found.set(text, found);
    return found;
  }

  #matches(pod: Pod, { namespace, namespaceSelector, podSelector }: PodMatch): boolean {
    if (namespace !== undefined && pod.namespace !== namespace) return false;
    if (namespaceSelector !== undefined) {
      const labels = this.#namespaces.get(pod.namespace) ?? { 'kubernetes.io/metadata.name': pod.namespace };
      if (!satisfies(labels, namespaceSelector)) return false;
    }
    return matchesLabels(pod.labels, podSelector);
  }
}

const textOf = ({ namespace, namespaceSelector, podSelector }: PodMatch): string =>
  JSON.stringify([namespace ?? null, namespaceSelector?.requirements ?? null, podSelector?.requirements ?? null]);
