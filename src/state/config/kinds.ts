/** The kinds of configuration file, checked: every fault of a file is told, and no secret is. @see rkt.md 2.15 */
import { isAbsolute } from 'node:path';
import * as z from 'zod/mini';
import type { Credential } from '../../model/credentials.ts';
import type { RegistryConf } from '../../model/registries.ts';
import { shown, type ConfigFile } from './files.ts';

// Code that zod would generate for each object is never run often enough to be worth its compilation.
z.config({ jitless: true });

const must = (what: string) => (issue: { input?: unknown }) =>
  issue.input === undefined ? `is missing; must be ${what}` : `must be ${what}, not ${shown(issue.input)}`;
/** For what may be a secret: its value stays out of the message. */
const mustSecretly = (what: string) => (issue: { input?: unknown }) =>
  issue.input === undefined ? `is missing; must be ${what}` : `must be ${what}`;

const secret = (what: string) => z.string({ error: mustSecretly(what) }).check(z.minLength(1, `is empty; must be ${what}`));
const name = (what: string) => z.string({ error: must(what) }).check(z.minLength(1, `is empty; must be ${what}`));
const flag = z.optional(z.boolean({ error: must('true or false') }));

/** host[:port] */
const host = /^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?(:[0-9]{1,5})?$|^\[[0-9a-fA-F:.]+\](:[0-9]{1,5})?$/;
const domain = z
  .string({ error: must('a host name, such as example.com or localhost:5000') })
  .check(z.refine((value) => host.test(value), { error: must('a host name, such as example.com or localhost:5000') }));
/** host[:port][/path] */
const isLocation = (value: string): boolean => {
  const [first = '', ...path] = value.split('/');
  return host.test(first) && path.every((part) => /^[a-z0-9]+([._-]+[a-z0-9]+)*$/.test(part));
};
const locationText = 'a registry, such as docker.io or mirror.local:5000/hub, without a scheme';
const location = z.string({ error: must(locationText) }).check(z.refine(isLocation, { error: must(locationText) }));

const basic = z.object({ user: name('a user name'), password: secret('a password') }, { error: mustSecretly('an object') });
const oauth = z.object({ token: secret('a token') }, { error: mustSecretly('an object') });
const aws = z.object(
  {
    accessKeyID: name('the ID of an access key'),
    secretAccessKey: secret('an access key'),
    awsRegion: z.optional(name('a region, such as us-east-1')),
  },
  { error: mustSecretly('an object') },
);
const domains = z.array(domain, { error: must('a list of domains') }).check(z.minLength(1, 'is empty; must name a domain'));
const typeText = 'basic, oauth or aws';
const authHead = z.object({ domains, type: z.enum(['basic', 'oauth', 'aws'], { error: must(typeText) }) });
const dockerAuth = z.object({
  registries: z._default(z.array(domain, { error: must('a list of registries') }).check(z.minLength(1, 'is empty; must name a registry')), [
    'registry-1.docker.io',
  ]),
  credentials: basic,
});
const stage1 = z.object({
  name: z.optional(z.string({ error: must('a name') })),
  version: z.optional(z.string({ error: must('a version') })),
  location: z.optional(
    z.string({ error: must('a path or URL') }).check(
      z.refine((value) => value === '' || isAbsolute(value) || /^(file|https?|docker):\/\/./.test(value), {
        error: must('an absolute path or a URL (file, http, https, docker)'),
      }),
    ),
  ),
});
/** Ours alone, and nothing in it is needed: a key that nobody reads is a spelling mistake. */
const closed = (issue: { code?: string; keys?: readonly string[]; input?: unknown }): string =>
  issue.code === 'unrecognized_keys'
    ? `has the unknown key ${(issue.keys ?? []).map((key) => JSON.stringify(key)).join(', ')}`
    : must('an object')(issue);
const mirror = z.union([location, z.strictObject({ location, insecure: flag }, { error: closed })], {
  error: must('a registry, or an object with its location'),
});
const registry = z.strictObject(
  {
    name: location,
    location: z.optional(location),
    insecure: flag,
    blocked: flag,
    mirrors: z.optional(z.array(mirror, { error: must('a list of mirrors') })),
  },
  { error: closed },
);
const registries = z.strictObject(
  {
    rktKind: z.literal('registries'),
    rktVersion: z.literal('v1'),
    default: z.optional(domain),
    registries: z.optional(z.array(registry, { error: must('a list of registries') })),
  },
  { error: closed },
);

/** Checks `file` by `schema`; undefined when `faults` heard what is wrong. */
function check<T>(schema: z.ZodMiniType<T>, file: ConfigFile, faults: string[], below?: string): T | undefined {
  const result = schema.safeParse(below === undefined ? file.value : file.value[below]);
  if (result.success) return result.data;
  const prefix = below === undefined ? [] : [below];
  faults.push(
    ...result.error.issues.map(({ path, message }) =>
      file.faultText({ path: [...prefix, ...path.filter((step) => typeof step !== 'symbol')], message }),
    ),
  );
  return undefined;
}

/** An `auth` file: who may open which domains. */
export function checkAuth(file: ConfigFile, faults: string[]): { readonly keys: readonly string[]; readonly credential: Credential } | undefined {
  const head = check(authHead, file, faults);
  const source = file.path;
  const credential = credentialOf(file, source, faults);
  return head === undefined || credential === undefined ? undefined : { keys: head.domains, credential };
}

function credentialOf(file: ConfigFile, source: string, faults: string[]): Credential | undefined {
  switch (file.value['type']) {
    case 'basic': {
      const given = check(basic, file, faults, 'credentials');
      return given === undefined ? undefined : { kind: 'basic', ...given, source };
    }
    case 'oauth': {
      const given = check(oauth, file, faults, 'credentials');
      return given === undefined ? undefined : { kind: 'bearer', token: given.token, source };
    }
    case 'aws': {
      const given = check(aws, file, faults, 'credentials');
      return given === undefined
        ? undefined
        : { kind: 'aws', accessKeyId: given.accessKeyID, secretAccessKey: given.secretAccessKey, region: given.awsRegion, source };
    }
    default:
      return undefined;
  }
}

/** A `dockerAuth` file: who may open which registries. */
export function checkDockerAuth(
  file: ConfigFile,
  faults: string[],
): { readonly keys: readonly string[]; readonly credential: Credential & { readonly kind: 'basic' } } | undefined {
  const given = check(dockerAuth, file, faults);
  return given === undefined ? undefined : { keys: given.registries, credential: { kind: 'basic', ...given.credentials, source: file.path } };
}

/** A `stage1` file; empty strings are what is not said. */
export function checkStage1(
  file: ConfigFile,
  faults: string[],
): { readonly name?: string; readonly version?: string; readonly location?: string } | undefined {
  const said = (key: string): boolean => file.value[key] !== undefined && file.value[key] !== '';
  const [alone, missing] = said('name') ? ['name', 'version'] : ['version', 'name'];
  const isHalf = said(alone) && !said(missing);
  if (isHalf) faults.push(file.faultText({ path: [alone], message: `is said without ${missing}: they come together` }));
  const given = check(stage1, file, faults);
  if (given === undefined || isHalf) return undefined;
  return Object.fromEntries(Object.entries(given).filter(([key]) => said(key)));
}

/** A `registries` file. */
export function checkRegistries(
  file: ConfigFile,
  faults: string[],
): { readonly default: string | undefined; readonly registries: readonly RegistryConf[] } | undefined {
  const given = check(registries, file, faults);
  if (given === undefined) return undefined;
  return {
    default: given.default,
    registries: (given.registries ?? []).map((entry) => ({
      name: entry.name,
      location: entry.location,
      insecure: entry.insecure ?? false,
      blocked: entry.blocked ?? false,
      mirrors: (entry.mirrors ?? []).map((one) =>
        typeof one === 'string' ? { location: one, insecure: false } : { location: one.location, insecure: one.insecure ?? false },
      ),
      source: file.path,
    })),
  };
}
