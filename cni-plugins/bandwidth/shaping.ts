/** Queues of one device: how a limit is made of disciplines, classes and filters, and whether it is still there. */
import type { Request, RouteSocket } from '../../src/host/netlink/socket.ts';
import {
  addHtb,
  addHtbClass,
  addSubnetFilter,
  addTokenBucket,
  classAt,
  filtersOf,
  holds,
  qdiscAt,
  rootHandle,
  type TokenBucket,
} from '../../src/host/netlink/traffic-control.ts';
import type { Scope } from './conf.ts';

/** Classes, as the reference numbers them. */
const [openMinor, shapedMinor] = [0x1, 0x30];
/** 800 Gbit/s: as good as unlimited. */
const openRate = 100_000_000_000;
/** What is not limited is never made to wait for tokens: a millisecond's worth. */
const openBurst = openRate / 1000;

/** `far`: where the pod's correspondent stands in the packets of this device. */
export function limitDevice(index: number, bucket: TokenBucket, { kind, subnets }: Scope, far: 'source' | 'destination'): Request[] {
  if (kind === 'all') return [addTokenBucket(index, bucket)];
  return [
    addHtb(index, defaultMinor(kind)),
    addHtbClass(index, shapedMinor, bucket),
    addHtbClass(index, openMinor, { rate: openRate, burst: openBurst }),
    ...subnets.map((subnet) => addSubnetFilter(index, subnet, far, kind === 'except' ? openMinor : shapedMinor)),
  ];
}
const defaultMinor = (kind: 'except' | 'only'): number => (kind === 'except' ? shapedMinor : openMinor);

/** Applies requests in parts whose answers fit the socket's buffer, however many subnets there are. @throws Errno of the first that failed */
export function applyInParts(socket: RouteSocket, requests: readonly Request[]): void {
  const part = 256;
  for (let at = 0; at < requests.length; at += part) socket.request(requests.slice(at, at + part));
}

/** What is wrong with the limit of a device; undefined when it is as {@link limitDevice} made it. */
export function faultOf(socket: RouteSocket, index: number, bucket: TokenBucket, { kind, subnets }: Scope): string | undefined {
  const root = qdiscAt(socket, index, 'ROOT');
  const wanted = kind === 'all' ? 'tbf' : 'htb';
  if (root?.kind !== wanted) return `has no qdisc ${wanted}`;
  if (kind === 'all') {
    if (!holds(root, bucket)) return `is limited to ${root.rate} bytes/s, not ${bucket.rate}, or to another burst`;
    return root.limit === bucket.limit ? undefined : `lets ${root.limit} bytes wait, not ${bucket.limit}`;
  }
  if (root.defaultMinor !== defaultMinor(kind)) return `has another default class (1:${root.defaultMinor.toString(16)})`;
  const shaped = classAt(socket, index, shapedMinor);
  if (shaped === undefined || classAt(socket, index, openMinor) === undefined) return 'lacks a class';
  if (!holds(shaped, bucket)) return `is limited to ${shaped.rate} bytes/s, not ${bucket.rate}, or to another burst`;
  const filters = filtersOf(socket, index, rootHandle).length;
  return filters === subnets.length ? undefined : `has ${filters} filters for ${subnets.length} subnets`;
}
