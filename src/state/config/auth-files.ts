/**
 * Credentials that Docker and podman keep: `auth.json`, `config.json`, and the helper programs these name.
 * @see containers-auth.json(5); Docker CLI "Credential stores" and "Credential helper protocol"
 */
import { join } from 'node:path';
import { findProgram, runProgram } from '../../host/run-program.ts';
import { isObject } from '../../model/cni/known-key.ts';
import { bestKey, registryKey, type Credential } from '../../model/credentials.ts';
import { messageOf, printable } from '../../model/errors.ts';
import { parseJson, readRegular } from './files.ts';

export type Environment = Readonly<Record<string, string | undefined>>;

/** A file there may be. `required`: the user named it, so its absence is a fault. */
export interface AuthFile {
  readonly path: string;
  readonly required: boolean;
}

/** The files to look into, best first. One that is named by REGISTRY_AUTH_FILE is the only one, as with podman and skopeo. */
export function authFiles(env: Environment): AuthFile[] {
  const said = env['REGISTRY_AUTH_FILE'];
  if (said !== undefined && said !== '') return [{ path: said, required: true }];
  // An empty variable is one that is not set.
  const below = (base: string | undefined, ...rest: string[]): string[] => (base === undefined || base === '' ? [] : [join(base, ...rest)]);
  const either = (variable: string, inHome: string): string | undefined => env[variable] || below(env['HOME'], inHome)[0];
  return [
    ...below(env['XDG_RUNTIME_DIR'], 'containers/auth.json'),
    ...below(either('XDG_CONFIG_HOME', '.config'), 'containers/auth.json'),
    ...below(either('DOCKER_CONFIG', '.docker'), 'config.json'),
  ].map((path) => ({ path, required: false }));
}

const refuse = (problem: (text: string) => void, text: string): undefined => {
  problem(text);
  return undefined;
};

const helperTimeoutMs = 20_000;

/** What one file has for `registry/repository`, best first. `problem` hears what cannot be used. */
export function credentialsInFile(
  file: AuthFile,
  registry: string,
  repository: string | undefined,
  env: Environment,
  problem: (text: string) => void,
): Credential[] {
  const faults: string[] = [];
  const text = readRegular(file.path, faults);
  const parsed = text === undefined ? undefined : parseJson(file.path, text, faults);
  if (text === undefined && file.required && faults.length === 0) faults.push(`${file.path} (REGISTRY_AUTH_FILE) does not exist`);
  faults.forEach(problem);
  if (parsed === undefined) return [];
  if (!isObject(parsed.value)) {
    problem(`${file.path} is not an object`);
    return [];
  }
  const { auths, credHelpers, credsStore } = parsed.value;
  const found: Credential[] = [];
  const ask = (helper: unknown): void => {
    const credential = askHelper(helper, registry, file.path, env, problem);
    if (credential !== undefined) found.push(credential);
  };
  if (isObject(credHelpers)) {
    const key = bestKey(Object.keys(credHelpers), registry, undefined);
    if (key !== undefined) ask(credHelpers[key]);
  }
  if (isObject(auths)) {
    const key = bestKey(Object.keys(auths), registry, repository);
    const credential = key === undefined ? undefined : entryCredential(auths[key], `${file.path} (${printable(key)})`, problem);
    if (credential !== undefined) found.push(credential);
  }
  if (credsStore !== undefined && credsStore !== '') ask(credsStore);
  return found;
}

/** An entry of `auths`; an empty one only says that a store has it. */
function entryCredential(entry: unknown, source: string, problem: (text: string) => void): Credential | undefined {
  if (!isObject(entry)) return refuse(problem, `${source} is not an object`);
  const said = (key: string): string | undefined => {
    const value = entry[key];
    return typeof value === 'string' && value !== '' ? value : undefined;
  };
  const [identity, bearer, auth, user, password] = ['identitytoken', 'registrytoken', 'auth', 'username', 'password'].map(said);
  if (identity !== undefined) return { kind: 'identity', token: identity, source };
  if (bearer !== undefined) return { kind: 'bearer', token: bearer, source };
  if (auth !== undefined) {
    const pair = Buffer.from(auth, 'base64').toString('utf8').replace(/\0+$/, '');
    const colon = pair.indexOf(':');
    if (colon <= 0) return refuse(problem, `${source}: "auth" is not the base64 of user:password`);
    return { kind: 'basic', user: pair.slice(0, colon), password: pair.slice(colon + 1), source };
  }
  return user === undefined || password === undefined ? undefined : { kind: 'basic', user, password, source };
}

/** What a helper is asked by: Docker's own registry has a name of its own there. */
const serverOf = (registry: string): string => (registryKey(registry) === 'docker.io' ? 'https://index.docker.io/v1/' : registryKey(registry));

/** Runs `docker-credential-NAME get`. Neither what it prints nor what it says on failure is told: secrets could be in it. */
function askHelper(helper: unknown, registry: string, file: string, env: Environment, problem: (text: string) => void): Credential | undefined {
  if (typeof helper !== 'string' || !/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(helper))
    return refuse(problem, `${file}: ${printable(JSON.stringify(helper) ?? '')} is not the name of a credential helper`);
  const name = `docker-credential-${helper}`;
  const path = findProgram(name);
  if (path === undefined) return refuse(problem, `${name}, which ${file} names, is not installed`);
  const outcome = runProgram({
    path,
    argv: [name, 'get'],
    env: Object.fromEntries(Object.entries(env).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]]))),
    stdin: Buffer.from(serverOf(registry)),
    timeoutMs: helperTimeoutMs,
    maxBytes: 1 << 20,
  });
  if (outcome.kind === 'not-started') return refuse(problem, `${path} could not be started: ${outcome.reason}`);
  if (outcome.kind !== 'exited')
    return refuse(problem, `${name} ${outcome.kind === 'timeout' ? `did not answer within ${helperTimeoutMs / 1000} s` : 'was killed'}`);
  if (outcome.status !== 0) {
    // The protocol's word for "has none".
    if (/credentials not found/i.test(outcome.stdout.toString())) return undefined;
    return refuse(problem, `${name} failed with status ${outcome.status}`);
  }
  try {
    const answer: unknown = JSON.parse(outcome.stdout.toString());
    if (!isObject(answer) || typeof answer['Username'] !== 'string' || typeof answer['Secret'] !== 'string')
      return refuse(problem, `${name} gave no Username and Secret`);
    const { Username: user, Secret: secret } = answer;
    if (secret === '') return undefined;
    const source = `${name} (${file})`;
    return user === '<token>' ? { kind: 'identity', token: secret, source } : { kind: 'basic', user, password: secret, source };
  } catch (error) {
    // The engine's message quotes what it could not parse.
    return refuse(problem, `${name} did not print JSON (${error instanceof SyntaxError ? 'syntax error' : messageOf(error)})`);
  }
}
