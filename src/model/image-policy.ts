/**
 * Which OCI and Docker images may be fetched: the part of containers-policy.json that needs no signatures. Pure.
 * ACIs are not asked about here: theirs is the keystore. @see containers-policy.json(5)
 */
import { isObject } from './cni/known-key.ts';

/** What has to be true of an image. Kinds that rkt cannot check are kept by their name: an image they apply to is refused. */
export type PolicyRule = { readonly kind: 'accept' } | { readonly kind: 'reject' } | { readonly kind: 'unsupported'; readonly type: string };

export interface ImagePolicy {
  readonly default: readonly PolicyRule[];
  /** transport → scope (`''`: all of it) → rules, all of which must hold */
  readonly transports: ReadonlyMap<string, ReadonlyMap<string, readonly PolicyRule[]>>;
}

export interface PolicyFault {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** An image as policies name it. */
export interface PolicySubject {
  readonly transport: 'docker' | 'oci' | 'oci-archive' | 'docker-archive' | 'dir';
  /** docker: `host[:port]/repository`; files and directories: absolute path without links; docker-archive has no scopes */
  readonly place: string;
  /** docker: `:tag` or `@digest`; oci: `:ref`; '' when there is none */
  readonly ref: string;
}

export type PolicyDecision = { readonly accepted: true } | { readonly accepted: false; readonly scope: string; readonly rule: string };

const knownTypes: Readonly<Record<string, PolicyRule>> = { insecureAcceptAnything: { kind: 'accept' }, reject: { kind: 'reject' } };
/** Kinds of podman and skopeo that rkt does not check. */
const foreignTypes = ['signedBy', 'signedBaseLayer', 'sigstoreSigned'];
const pathTransports: readonly string[] = ['oci', 'oci-archive', 'dir'];

/** Reads a policy; every fault is told, and a policy with faults is none. */
export function readPolicy(value: unknown): { readonly policy: ImagePolicy; readonly faults: readonly PolicyFault[] } {
  const faults: PolicyFault[] = [];
  const fault = (path: PolicyFault['path'], message: string): void => void faults.push({ path, message });
  const rules = (list: unknown, path: PolicyFault['path']): PolicyRule[] => {
    if (!Array.isArray(list) || list.length === 0) {
      fault(path, list === undefined ? 'is missing; must be a list of rules' : 'must be a list of at least one rule');
      return [];
    }
    return (list as unknown[]).map((entry, i): PolicyRule => {
      const type = isObject(entry) ? entry['type'] : undefined;
      const known = typeof type === 'string' && Object.hasOwn(knownTypes, type) ? knownTypes[type] : undefined;
      if (known === undefined && !(typeof type === 'string' && foreignTypes.includes(type)))
        fault([...path, i], `must be a rule with a type: ${[...Object.keys(knownTypes), ...foreignTypes].join(', ')}`);
      if (known !== undefined && isObject(entry))
        for (const key of Object.keys(entry))
          if (key !== 'type') fault([...path, i, key], `is unknown: a rule ${JSON.stringify(type)} has nothing but its type`);
      return known ?? { kind: 'unsupported', type: String(type) };
    });
  };
  const transports = new Map<string, Map<string, PolicyRule[]>>();
  const top = isObject(value) ? value : {};
  if (!isObject(value)) fault([], 'must be an object');
  for (const key of Object.keys(top)) if (key !== 'default' && key !== 'transports') fault([key], 'is unknown: a policy has default and transports');
  const given = top['transports'] ?? {};
  if (!isObject(given)) fault(['transports'], 'must be an object');
  else
    for (const [transport, scopes] of Object.entries(given)) {
      const found = new Map<string, PolicyRule[]>();
      transports.set(transport, found);
      if (!isObject(scopes)) fault(['transports', transport], 'must be an object of scopes');
      else
        for (const [scope, list] of Object.entries(scopes)) {
          const path = ['transports', transport, scope];
          const wrong = scopeFault(transport, scope);
          if (wrong !== undefined) fault(path, wrong);
          found.set(scope, rules(list, path));
        }
    }
  return { policy: { default: isObject(value) ? rules(top['default'], ['default']) : [], transports }, faults };
}

/** A scope that could never match is a mistake, and one that leaves a door open. */
function scopeFault(transport: string, scope: string): string | undefined {
  if (scope === '') return undefined;
  if (transport === 'docker-archive') return 'is a scope, which images of archives do not have: only "" is asked for';
  if (pathTransports.includes(transport)) {
    if (!scope.startsWith('/')) return 'must be an absolute path';
    if (scope === '/' || scope.endsWith('/')) return 'must not end with "/"; all paths are ""';
    return scope.split('/').some((part, i) => i > 0 && (part === '' || part === '.' || part === '..'))
      ? 'must be a path without "//", "." and ".."'
      : undefined;
  }
  if (transport === 'docker' && /^[a-z]+:\/\/|\/$/.test(scope)) return 'must be host[:port][/repository[:tag]], without a scheme and "/" at its end';
  return undefined;
}

/** The decision of the longest scope that fits, the transport's default, the default. */
export function decide(policy: ImagePolicy, subject: PolicySubject): PolicyDecision {
  const scopes = policy.transports.get(subject.transport);
  const scope = scopesOf(subject).find((candidate) => scopes?.has(candidate) === true);
  const rules = (scope === undefined ? undefined : scopes?.get(scope)) ?? policy.default;
  const shown = scope === undefined ? 'default' : scope === '' ? `${subject.transport}, any` : `${subject.transport} ${scope}`;
  const against = rules.find(({ kind }) => kind !== 'accept');
  if (against === undefined) return { accepted: true };
  return { accepted: false, scope: shown, rule: against.kind === 'unsupported' ? against.type : 'reject' };
}

/** All scopes a subject is in, longest first. */
function scopesOf({ transport, place, ref }: PolicySubject): string[] {
  if (transport === 'docker-archive') return [''];
  const parts = place.split('/');
  const places = parts.map((_, i) => parts.slice(0, parts.length - i).join('/')).filter((text) => text !== '');
  const [host = ''] = parts;
  // `*.example.com` stands for all hosts below, a port belongs to the host.
  const wildcards = transport === 'docker' ? [...host.matchAll(/\./g)].map(({ index }) => `*${host.slice(index)}`) : [];
  return [...(ref === '' ? [] : [`${place}${ref}`]), ...places, ...wildcards, ''];
}
