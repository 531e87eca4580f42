/** Which registries there are, and where their images really come from. */
import { bestKey, registryKey } from './credentials.ts';

/** A place that serves the images of a registry. */
export interface Mirror {
  /** `host[:port][/path]`, put in front of the repository */
  readonly location: string;
  /** http, or a certificate nobody vouches for, will do */
  readonly insecure: boolean;
}

/** One registry, or one part of it. */
export interface RegistryConf {
  /** `host[:port][/path]`; the longest that an image's name begins with counts */
  readonly name: string;
  /** where its images are; undefined: at `name` */
  readonly location: string | undefined;
  readonly insecure: boolean;
  /** no image of it is fetched */
  readonly blocked: boolean;
  /** asked first, in order */
  readonly mirrors: readonly Mirror[];
  /** the file that says so */
  readonly source: string;
}

export interface RegistriesConf {
  /** what a name without a registry means */
  readonly default: string;
  readonly registries: readonly RegistryConf[];
}

/** Without any configuration. */
export const defaultRegistries: RegistriesConf = { default: 'docker.io', registries: [] };

/** Where to ask for an image, in order. */
export interface Endpoint extends Mirror {
  /** host[:port] of `location` */
  readonly registry: string;
  /** the repository there */
  readonly repository: string;
  readonly isMirror: boolean;
}

/** What the configuration says about `registry/repository`: the places to ask, mirrors first, or the file that blocks it. */
export function endpointsOf(
  conf: RegistriesConf,
  registry: string,
  repository: string,
): { readonly endpoints: readonly Endpoint[]; readonly blockedBy?: string } {
  const names = conf.registries.map(({ name }) => name);
  const best = bestKey(names, registry, repository);
  const entry = conf.registries.find(({ name }) => name === best);
  if (entry === undefined) return { endpoints: [{ location: registry, registry, repository, insecure: false, isMirror: false }] };
  if (entry.blocked) return { endpoints: [], blockedBy: entry.source };
  const rest = `${registryKey(registry)}/${repository}`.slice(registryKey(entry.name).length + 1);
  const at = ({ location, insecure }: Mirror, isMirror: boolean): Endpoint => {
    const [host = '', ...path] = location.split('/');
    return { location, insecure, registry: host, repository: [...path, rest].join('/'), isMirror };
  };
  return {
    endpoints: [...entry.mirrors.map((mirror) => at(mirror, true)), at({ location: entry.location ?? entry.name, insecure: entry.insecure }, false)],
  };
}
