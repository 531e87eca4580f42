/**
 * Whom a TLS connection trusts, and what it shows of itself. Loaded when the first one is made: parsing the system's
 * certificates takes tens of milliseconds.
 * @see containers-certs.d(5); native.md A1 (NODE_EXTRA_CA_CERTS)
 */
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext, rootCertificates, type SecureContext } from 'node:tls';
import { RuntimeError, isErrno, isRuntimeError, messageOf } from '../../model/errors.ts';
import type { Environment } from './proxy.ts';

/** Where Debian, Red Hat and SUSE keep the certificates that the administrator manages; the first there is counts. */
const systemBundles = ['/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt', '/etc/ssl/ca-bundle.pem'];

/** Per registry: `DIR/HOST[:PORT]/*.crt` are authorities, `X.cert` with `X.key` is shown to the server. */
export const certificateDirs = ['/etc/docker/certs.d', '/etc/containers/certs.d'] as const;

function optional(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw unreadable(path, error);
  }
}

const unreadable = (path: string, cause: unknown): RuntimeError =>
  new RuntimeError('ERR_HTTP_TLS', `cannot read certificates of ${path}: ${messageOf(cause)}`, { cause });

function required(path: string, source: string): string {
  const text = optional(path);
  if (text === undefined)
    throw new RuntimeError('ERR_HTTP_TLS', `${source} names ${path}, which does not exist`, { hint: `correct or unset ${source}` });
  return text;
}

/** Certificates every connection trusts: SSL_CERT_FILE instead of the system's, NODE_EXTRA_CA_CERTS besides. */
function trusted(env: Environment): string[] {
  const own = env['SSL_CERT_FILE'] ?? '';
  const system = own === '' ? systemBundles.map(optional).find((text) => text !== undefined) : required(own, 'SSL_CERT_FILE');
  // dist/rkt is started without NODE_EXTRA_CA_CERTS, which costs every start of Node 73 ms, and has it under this name.
  const extra = (env['RKT_CA'] ?? '') || (env['NODE_EXTRA_CA_CERTS'] ?? '');
  return [...(system === undefined ? rootCertificates : [system]), ...(extra === '' ? [] : [required(extra, 'NODE_EXTRA_CA_CERTS')])];
}

interface OfRegistry {
  readonly authorities: readonly string[];
  readonly client: { readonly cert: string; readonly key: string } | undefined;
}

/** What the directories have for `host:port`, or for `host` alone. Later directories add authorities and replace the client certificate. */
function ofRegistry(directories: readonly string[], host: string, port: number): OfRegistry {
  const authorities: string[] = [];
  let client: OfRegistry['client'];
  for (const directory of directories.flatMap((parent) => [join(parent, host), join(parent, `${host}:${port}`)])) {
    for (const name of filesOf(directory)) {
      const path = join(directory, name);
      if (name.endsWith('.crt')) authorities.push(required(path, directory));
      if (!name.endsWith('.cert')) continue;
      const key = optional(path.replace(/cert$/, 'key'));
      if (key === undefined) throw new RuntimeError('ERR_HTTP_TLS', `${path} has no key ${name.replace(/cert$/, 'key')} beside it`);
      client = { cert: required(path, directory), key };
    }
  }
  return { authorities, client };
}

function filesOf(directory: string): string[] {
  try {
    return readdirSync(directory).sort();
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return [];
    throw unreadable(directory, error);
  }
}

/** @throws ERR_HTTP_TLS naming the file that is missing or no certificate */
export function secureContextFor(host: string, port: number, directories: readonly string[], env: Environment): SecureContext {
  const { authorities, client } = ofRegistry(directories, host, port);
  try {
    return createSecureContext({ ca: [...trusted(env), ...authorities], ...client });
  } catch (error) {
    if (isRuntimeError(error)) throw error;
    throw new RuntimeError('ERR_HTTP_TLS', `the certificates for ${host} cannot be used: ${messageOf(error)}`, { cause: error });
  }
}
