/** Names that can be found again without any state: from the attachment, or from the bridge's own name. */
import { ipBytes, type Cidr } from '../../src/model/cidr.ts';
import { type AttachmentKey, attachmentText } from '../../src/model/ruleset.ts';

/** FNV-1a, 32 bits: no security depends on it, collisions are noticed by the kernel or by the alias. */
function hash(text: string): number {
  let value = 0x811c9dc5;
  for (const byte of Buffer.from(text)) value = Math.imul(value ^ byte, 0x01000193) >>> 0;
  return value;
}
/** 8 hex digits of `text`. */
export const digest = (text: string): string => hash(text).toString(16).padStart(8, '0');

/** Name of an attachment's link on the host; `attempt` > 0 when another one is taken. Always `veth` + 8 hex digits. */
export const hostLinkName = (key: AttachmentKey, attempt = 0): string => `veth${digest(`${attachmentText(key)}#${attempt}`)}`;
export const linkNameAttempts = 10;

/** Name of the device that an attachment's outgoing traffic is shaped in: `bwp` + 12 hex digits, as long as the reference's. */
export function ifbName(key: AttachmentKey): string {
  const text = attachmentText(key);
  const digits = [text, `${text}#`].map((part) => hash(part).toString(16).padStart(8, '0'));
  return `bwp${digits.join('').slice(0, 12)}`;
}

/**
 * MAC of a bridge that rkt makes: locally administered, `rkt` in ASCII, and two bytes of its name. Set in the message
 * that creates the bridge, it is at once a stable address (cni#285) and the mark that the bridge is ours to remove.
 */
export function bridgeMac(name: string): string {
  const low = (hash(name) & 0xffff).toString(16).padStart(4, '0');
  return `0a:72:6b:74:${low.slice(0, 2)}:${low.slice(2)}`;
}

/**
 * MAC of a pod: locally administered, made of its first IPv4 address, else of the end of its first IPv6 one (under a prefix of its own,
 * so that the two never meet). Whoever remembers the address remembers the right MAC also for the next pod that has it, so nothing has
 * to be announced to everybody. Undefined without an address: the kernel chooses.
 */
export function podMac(addresses: readonly Cidr[]): string | undefined {
  const first = addresses.find(({ ip }) => ip.family === 4) ?? addresses[0];
  if (first === undefined) return undefined;
  const prefix = first.ip.family === 4 ? ['0a', '58'] : ['0a', '59'];
  return [...prefix, ...(ipBytes(first.ip).subarray(-4).toString('hex').match(/../g) ?? [])].join(':');
}

/**
 * Name a link of an attachment has from its making until it is in the pod: kernels before 6.13 refuse to make a link in
 * another namespace under a name that is taken in this one.
 */
export const stagingName = (key: AttachmentKey, attempt = 0): string => `rkt${digest(`${attachmentText(key)}#${attempt}`)}`;

/** A part of a name with room for `longest` characters: what is longer is cut and told apart by a hash. */
const bounded = (text: string, longest: number): string => (text.length <= longest ? text : `${text.slice(0, longest - 9)}~${digest(text)}`);
/** How the marks of a network's devices begin. */
export const networkMark = (network: string): string => `rkt:${bounded(network, 40)}:`;
/**
 * Other name of a device while a pod has it, which stays with it when it falls back to the host: at most 126 bytes, and no
 * part of it can hold a colon.
 */
export const deviceMark = ({ network, containerId, ifName }: AttachmentKey): string => `${networkMark(network)}${bounded(containerId, 64)}:${ifName}`;
