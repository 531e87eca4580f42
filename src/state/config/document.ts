/** The configuration as the JSON document `rkt config` prints: what could be written into files again. @see rkt.md 1.4 (config) */
import type { Configuration } from '../../model/configuration.ts';
import { defaultLimits, type ImageLimits } from '../../model/image-limits.ts';
import type { Credential } from '../../model/credentials.ts';

export interface ConfigurationDocument {
  readonly stage0: readonly Readonly<Record<string, unknown>>[];
}

/** In place of what must not be seen. */
const hidden = '(hidden)';

/** One entry a domain and a registry, then what rkt always prints: paths and stage1. Secrets are shown only when asked for. */
export function configurationDocument(config: Configuration, showSecrets: boolean): ConfigurationDocument {
  const entry = (rktKind: string, fields: Record<string, unknown>): Record<string, unknown> => ({ rktVersion: 'v1', rktKind, ...fields });
  const secret = (text: string): string => (showSecrets ? text : hidden);
  const { default: defaultRegistry, registries } = config.registries;
  return {
    stage0: [
      ...[...config.auth].map(([domain, credential]) => entry('auth', { domains: [domain], ...authFields(credential, secret) })),
      ...[...config.dockerAuth].map(([registry, { user, password }]) =>
        entry('dockerAuth', { registries: [registry], credentials: { user, password: secret(password) } }),
      ),
      ...(registries.length === 0 && defaultRegistry === 'docker.io'
        ? []
        : [
            entry('registries', {
              default: defaultRegistry,
              registries: registries.map(({ name, location, insecure, blocked, mirrors }) => ({
                name,
                ...(location === undefined ? {} : { location }),
                insecure,
                blocked,
                mirrors,
              })),
            }),
          ]),
      ...(Object.keys(changedLimits(config.limits)).length === 0 ? [] : [entry('imageLimits', changedLimits(config.limits))]),
      entry('paths', { data: config.paths.data ?? '', 'stage1-images': config.paths.stage1Images ?? '' }),
      entry('stage1', { name: config.stage1.name ?? '', version: config.stage1.version ?? '', location: config.stage1.location ?? '' }),
    ],
  };
}

function authFields(credential: Credential, secret: (text: string) => string): Record<string, unknown> {
  switch (credential.kind) {
    case 'basic':
      return { type: 'basic', credentials: { user: credential.user, password: secret(credential.password) } };
    case 'bearer':
    case 'identity':
      return { type: 'oauth', credentials: { token: secret(credential.token) } };
    case 'aws':
      return {
        type: 'aws',
        credentials: {
          accessKeyID: credential.accessKeyId,
          secretAccessKey: secret(credential.secretAccessKey),
          ...(credential.region === undefined ? {} : { awsRegion: credential.region }),
        },
      };
    default:
      return credential satisfies never;
  }
}

/** Limits that are not as they are by default. */
const changedLimits = (limits: ImageLimits): Record<string, number> =>
  Object.fromEntries(Object.entries(limits).filter(([key, value]: [string, number]) => value !== defaultLimits[key as keyof ImageLimits]));
