/** A credential → what a GET request for one URL says. @see RFC 7617 (basic), RFC 6750 (bearer), AWS Signature Version 4 (S3) */
import { createHash, createHmac } from 'node:crypto';
import type { Credential } from '../../model/credentials.ts';
import type { HttpRequest } from './client.ts';
import { hostOf, isLoopback } from './proxy.ts';

export type Authorized = Pick<HttpRequest, 'authorization' | 'headers'>;

/** Of no payload: a GET has none. */
const emptyHash = createHash('sha256').digest('hex');
const defaultRegion = 'us-east-1';

/**
 * For ordinary servers; an identity token means something to a registry's token server only. `now` dates AWS signatures. Without encryption
 * nothing is said to other machines, whatever is allowed: who can keep https from being answered would be told the password.
 */
export function authorizationFor(credential: Credential | undefined, url: URL, now: Date): Authorized {
  if (url.protocol !== 'https:' && !isLoopback(hostOf(url))) return {};
  switch (credential?.kind) {
    case 'basic':
      return { authorization: `Basic ${Buffer.from(`${credential.user}:${credential.password}`).toString('base64')}` };
    case 'bearer':
      return { authorization: `Bearer ${credential.token}` };
    case 'aws':
      return signed(credential, url, now);
    default:
      return {};
  }
}

const escaped = (text: string): string => encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);

function signed({ accessKeyId, secretAccessKey, region = defaultRegion }: Credential & { readonly kind: 'aws' }, url: URL, now: Date): Authorized {
  const time = now.toISOString().replace(/[-:]|\.\d+/g, '');
  const date = time.slice(0, 8);
  const scope = `${date}/${region}/s3/aws4_request`;
  const headers = { 'x-amz-content-sha256': emptyHash, 'x-amz-date': time };
  const query = [...url.searchParams]
    .map(([key, value]) => `${escaped(key)}=${escaped(value)}`)
    .sort()
    .join('&');
  const names = 'host;x-amz-content-sha256;x-amz-date';
  const request = [
    'GET',
    url.pathname,
    query,
    `host:${url.host}`,
    ...Object.entries(headers).map(([key, value]) => `${key}:${value}`),
    '',
    names,
    emptyHash,
  ];
  const text = ['AWS4-HMAC-SHA256', time, scope, createHash('sha256').update(request.join('\n')).digest('hex')].join('\n');
  const hmac = (key: string | Buffer, data: string): Buffer => createHmac('sha256', key).update(data).digest();
  const key = [region, 's3', 'aws4_request'].reduce(hmac, hmac(`AWS4${secretAccessKey}`, date));
  return {
    headers,
    authorization: `AWS4-HMAC-SHA256 Credential=${accessKeyId}/${scope}, SignedHeaders=${names}, Signature=${hmac(key, text).toString('hex')}`,
  };
}
