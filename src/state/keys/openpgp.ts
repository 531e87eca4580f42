/**
 * As much of OpenPGP as people have to see before they trust a key, and as names its file: fingerprints, user IDs, expiry.
 * What a signature is worth is gpgv's business, not decided here. @see RFC 9580 4.2 (packets), 5.2.3 (subpackets), 5.5.4 (fingerprints)
 */
import { createHash } from 'node:crypto';
import { OpenPgpError, dearmor } from './armor.ts';

interface Packet {
  readonly tag: number;
  readonly body: Buffer;
  /** with its header */
  readonly whole: Buffer;
}
const TAG = { signature: 2, secretKey: 5, publicKey: 6, secretSubkey: 7, marker: 10, userId: 13, publicSubkey: 14 } as const;

/** One certificate: a primary key and what belongs to it. */
export interface PublicKey {
  /** lower-case hex, 40 digits (version 4) or 64 (5, 6) */
  readonly fingerprint: string;
  readonly subkeys: readonly string[];
  /** as their owner wrote them: print through `printable` */
  readonly userIds: readonly string[];
  /** seconds since 1970, by the newest self-signature, unchecked; undefined: never */
  readonly expiresAt: number | undefined;
  /** carries a revocation of itself, unchecked */
  readonly isRevoked: boolean;
  /** its packets, as they were read */
  readonly packets: Buffer;
}

function* readPackets(bytes: Uint8Array): Generator<Packet> {
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const cut = new OpenPgpError('is damaged or cut short');
  for (let at = 0; at < data.length;) {
    const start = at;
    const head = data[at++] ?? 0;
    if ((head & 0x80) === 0) throw new OpenPgpError('is not OpenPGP data');
    const isNew = (head & 0x40) !== 0;
    const tag = isNew ? head & 0x3f : (head >> 2) & 0x0f;
    let lengthBytes: number;
    let length: number | undefined;
    if (isNew) {
      const first = data[at] ?? 0;
      // Partial lengths (224-254) are for data packets only.
      if (first >= 224 && first < 255) throw cut;
      lengthBytes = first < 192 ? 1 : first < 224 ? 2 : 5;
      if (at + lengthBytes > data.length) throw cut;
      length = first < 192 ? first : first < 224 ? ((first - 192) << 8) + (data[at + 1] ?? 0) + 192 : data.readUInt32BE(at + 1);
    } else {
      lengthBytes = [1, 2, 4][head & 3] ?? 0;
      if (lengthBytes === 0 || at + lengthBytes > data.length) throw cut;
      length = data.readUIntBE(at, lengthBytes);
    }
    at += lengthBytes + length;
    if (at > data.length) throw cut;
    yield { tag, body: data.subarray(at - length, at), whole: data.subarray(start, at) };
  }
}

function fingerprintOf(body: Buffer): string {
  const version = body[0] ?? 0;
  if (version !== 4 && version !== 5 && version !== 6) throw new OpenPgpError(`holds a key of version ${version}, which is not supported`);
  const prefix = Buffer.alloc(version === 4 ? 3 : 5);
  prefix[0] = version === 4 ? 0x99 : version === 5 ? 0x9a : 0x9b;
  prefix.writeUIntBE(body.length, 1, version === 4 ? 2 : 4);
  return createHash(version === 4 ? 'sha1' : 'sha256')
    .update(prefix)
    .update(body)
    .digest('hex');
}

/**
 * Every public key of a file, armored or not; of a key that is there twice, the first.
 * @throws OpenPgpError when there is none, or anything else than public keys
 */
export function readPublicKeys(bytes: Uint8Array): PublicKey[] {
  const groups: Packet[][] = [];
  for (const packet of readPackets(dearmor(bytes, 'PUBLIC KEY BLOCK'))) {
    if (packet.tag === TAG.secretKey || packet.tag === TAG.secretSubkey)
      throw new OpenPgpError('holds a secret key: give the public one (gpg --export)');
    if (packet.tag === TAG.publicKey) groups.push([packet]);
    else if (groups.length > 0) groups.at(-1)?.push(packet);
    else if (packet.tag !== TAG.marker) throw new OpenPgpError('does not begin with a public key');
  }
  if (groups.length === 0) throw new OpenPgpError('holds no public key');
  const keys = new Map<string, PublicKey>();
  for (const key of groups.map(keyOf)) if (!keys.has(key.fingerprint)) keys.set(key.fingerprint, key);
  return [...keys.values()];
}

function keyOf(packets: readonly Packet[]): PublicKey {
  const [primary = { body: Buffer.alloc(0) }, ...rest] = packets;
  const firstSubkey = rest.findIndex(({ tag }) => tag === TAG.publicSubkey);
  const signatures = (firstSubkey < 0 ? rest : rest.slice(0, firstSubkey))
    .filter(({ tag }) => tag === TAG.signature)
    .map(({ body }) => selfSignature(body));
  const createdAt = primary.body.length >= 5 ? primary.body.readUInt32BE(1) : 0;
  // Certifications (0x10-0x13) and direct signatures (0x1f) bind; a stranger's has no expiry of the key in it.
  const binding = signatures.filter(({ type }) => (type >= 0x10 && type <= 0x13) || type === 0x1f);
  const newest = binding.toSorted((a, b) => b.madeAt - a.madeAt).find(({ keyExpiresAfter }) => keyExpiresAfter !== undefined);
  const ids = rest.filter(({ tag }) => tag === TAG.userId);
  return {
    fingerprint: fingerprintOf(primary.body),
    subkeys: rest.filter(({ tag }) => tag === TAG.publicSubkey).map(({ body }) => fingerprintOf(body)),
    userIds: ids.map(({ body }) => body.toString('utf8')),
    expiresAt: newest?.keyExpiresAfter === undefined || newest.keyExpiresAfter === 0 ? undefined : createdAt + newest.keyExpiresAfter,
    isRevoked: signatures.some(({ type }) => type === 0x20),
    packets: Buffer.concat(packets.map(({ whole }) => whole)),
  };
}

interface SelfSignature {
  readonly type: number;
  readonly madeAt: number;
  /** seconds from the key's creation on */
  readonly keyExpiresAfter: number | undefined;
}

/** Type and hashed times of a signature of version 4 or later; what cannot be read is left out, since nothing depends on it. */
function selfSignature(body: Buffer): SelfSignature {
  const version = body[0] ?? 0;
  const none = { type: version >= 4 ? (body[1] ?? 0) : 0, madeAt: 0, keyExpiresAfter: undefined };
  const areaBytes = version >= 6 ? 4 : 2;
  if (version < 4 || body.length < 4 + areaBytes) return none;
  const area = body.subarray(4 + areaBytes, 4 + areaBytes + body.readUIntBE(4, areaBytes));
  let { madeAt, keyExpiresAfter }: SelfSignature = none;
  for (let at = 0; at + 2 <= area.length;) {
    const first = area[at] ?? 0;
    const lengthBytes = first < 192 ? 1 : first < 255 ? 2 : 5;
    if (at + lengthBytes > area.length) break;
    const length = first < 192 ? first : first < 255 ? ((first - 192) << 8) + (area[at + 1] ?? 0) + 192 : area.readUInt32BE(at + 1);
    const content = area.subarray(at + lengthBytes, at + lengthBytes + length);
    if (length === 0 || content.length < length) break;
    const kind = (content[0] ?? 0) & 0x7f;
    if (kind === 2 && content.length === 5) madeAt = content.readUInt32BE(1);
    if (kind === 9 && content.length === 5) keyExpiresAfter = content.readUInt32BE(1);
    at += lengthBytes + length;
  }
  return { ...none, madeAt, keyExpiresAfter };
}

/**
 * A detached signature without armor. Anything else with signatures in it (a message that brings its own content, a key) is refused:
 * gpgv would check that content, and not the image. @throws OpenPgpError
 */
export function readDetachedSignature(bytes: Uint8Array): Uint8Array {
  const packets = dearmor(bytes, 'SIGNATURE');
  let signatures = 0;
  for (const { tag } of readPackets(packets)) {
    if (tag !== TAG.signature && tag !== TAG.marker) throw new OpenPgpError('is not a detached signature (gpg --detach-sign makes one)');
    if (tag === TAG.signature) signatures++;
  }
  if (signatures === 0) throw new OpenPgpError('holds no signature');
  return packets;
}

/** `bff313cd…` → `BFF3 13CD AA56 0B16 A898  7B8F 72AB F5F6 799D 33BC`, as gpg prints it. */
export function fingerprintText(fingerprint: string): string {
  const groups = fingerprint.toUpperCase().match(/.{1,4}/g) ?? [];
  const half = Math.ceil(groups.length / 2);
  return `${groups.slice(0, half).join(' ')}  ${groups.slice(half).join(' ')}`;
}
