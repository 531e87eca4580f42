/**
 * Forgetting UDP flows whose address translation is out of date: conntrack translates by the flow's first packet and
 * UDP flows have no end, so a client that keeps sending keeps an old answer alive. @see complaint 33
 */
import { networkInterfaces } from 'node:os';
import type { Family, Ip } from '../../model/cidr.ts';
import { ipBytes, ipFromBytes } from '../../model/cidr.ts';
import { Errno, isErrno } from '../linux.ts';
import { attribute, fields, nest, u16, u8 } from './attributes.ts';
import { NLM_F } from '../netlink/flags.ts';
import { type Message, ctType, header } from './codec.ts';
import { ask, dump } from './transport.ts';

const AF = { 4: 2, 6: 10 } as const;
const IPPROTO_UDP = 17;
const GET = 1;
const DELETE = 2;
const CTA = { TUPLE_ORIG: 1, TUPLE_REPLY: 2, FILTER: 25 } as const;
const TUPLE = { IP: 1, PROTO: 2 } as const;
const PROTO = { NUM: 1, DST_PORT: 3 } as const;
const FILTER_IP_SRC = 1 << 0;
const FILTER_PROTO_NUM = 1 << 3;
const FILTER_DST_PORT = 1 << 5;

interface Tuple {
  readonly source: Buffer;
  readonly destination: Buffer;
}
/** A flow as conntrack holds it; `original` is the undecoded tuple by which it is deleted. */
interface Flow {
  readonly original: Buffer;
  readonly to: Ip;
  /** who answers: differs from `to` when the destination was translated */
  readonly answeredBy: Ip;
}

function tupleOf(data: Buffer | undefined): Tuple | undefined {
  const ip = data && fields(data).get(TUPLE.IP);
  const addresses = ip && fields(ip);
  const source = addresses?.get(1) ?? addresses?.get(3);
  const destination = addresses?.get(2) ?? addresses?.get(4);
  return source === undefined || destination === undefined ? undefined : { source, destination };
}

/** A dump of UDP flows, filtered in the kernel (CTA_FILTER, Linux 5.8): those to `port`, or those that `answeredBy` answers. */
function flowsRequest(family: Family, { port, answeredBy }: { readonly port?: number; readonly answeredBy?: Ip }): Message {
  const flags = (number: number): Buffer => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(number);
    return bytes;
  };
  return {
    type: ctType(GET),
    flags: NLM_F.REQUEST | NLM_F.DUMP,
    body: Buffer.concat([
      header(AF[family]),
      nest(CTA.TUPLE_ORIG, nest(TUPLE.PROTO, u8(PROTO.NUM, IPPROTO_UDP), ...(port === undefined ? [] : [u16(PROTO.DST_PORT, port)]))),
      ...(answeredBy === undefined ? [] : [nest(CTA.TUPLE_REPLY, nest(TUPLE.IP, attribute(family === 4 ? 1 : 3, ipBytes(answeredBy))))]),
      nest(
        CTA.FILTER,
        attribute(1, flags(FILTER_PROTO_NUM | (port === undefined ? 0 : FILTER_DST_PORT))),
        attribute(2, flags(answeredBy === undefined ? 0 : FILTER_IP_SRC)),
      ),
    ]),
  };
}

/** The UDP flows of a pod that is gone, as a dump. */
export const flowsOfRequest = (pod: Ip): Message => flowsRequest(pod.family, { answeredBy: pod });

function flowsTo(family: Family, port: number): Flow[] {
  return dump(flowsRequest(family, { port }), `conntrack udp port ${port}`).flatMap((body): Flow[] => {
    const found = fields(body.subarray(4));
    const original = found.get(CTA.TUPLE_ORIG);
    const to = tupleOf(original);
    const answer = tupleOf(found.get(CTA.TUPLE_REPLY));
    if (original === undefined || to === undefined || answer === undefined) return [];
    return [{ original, to: ipFromBytes(to.destination), answeredBy: ipFromBytes(answer.source) }];
  });
}

function remove(family: Family, flows: readonly Flow[]): void {
  if (flows.length === 0) return;
  const deletion = ({ original }: Flow): Message => ({
    type: ctType(DELETE),
    flags: NLM_F.REQUEST | NLM_F.ACK,
    body: Buffer.concat([header(AF[family]), nest(CTA.TUPLE_ORIG, original)]),
  });
  const answers = ask(flows.map(deletion));
  for (const answer of answers) {
    // A flow that ended by itself is as good.
    if (answer.body === undefined && answer.errno !== 0 && answer.errno !== 2) throw new Errno('conntrack', answer.errno, 'delete', answer.detail);
  }
}

const localAddresses = (): Set<string> => new Set(Object.values(networkInterfaces()).flatMap((list) => (list ?? []).map((item) => item.address)));

/** A published UDP port: `host` undefined = all addresses of the family of `pod`. */
export interface PublishedUdp {
  readonly pod: Ip;
  readonly port: number;
  readonly host: Ip | undefined;
}
const same = (a: Ip, b: Ip): boolean => Buffer.compare(ipBytes(a), ipBytes(b)) === 0;

/**
 * `published`: the port leads to the pod from now on; flows to that port of this host which lead anywhere else are forgotten.
 * `withdrawn`: flows which lead to the pod are forgotten. Flows that only pass through this host stay.
 * Does nothing where the kernel has no conntrack netlink. Throws Errno.
 */
export function forgetUdpFlows(ports: readonly PublishedUdp[], change: 'published' | 'withdrawn'): void {
  let local: Set<string> | undefined;
  for (const { pod, port, host } of ports) {
    let flows: Flow[];
    try {
      flows = flowsTo(pod.family, port);
    } catch (error) {
      if (isErrno(error, 'EINVAL', 'EOPNOTSUPP', 'EPROTONOSUPPORT')) return;
      throw error;
    }
    flows = flows.filter((flow) => (host === undefined || same(flow.to, host)) && same(flow.answeredBy, pod) === (change === 'withdrawn'));
    if (change === 'published' && flows.length > 0) {
      local ??= localAddresses();
      const isLocal = (ip: Ip): boolean => local?.has(ip.text) === true || (ip.family === 4 && ip.text.startsWith('127.'));
      flows = flows.filter((flow) => isLocal(flow.to));
    }
    remove(pod.family, flows);
  }
}
