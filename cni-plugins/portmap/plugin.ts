/**
 * portmap: publishes pod ports on the host. Every mapping is an element of a map in table `inet rkt`; the kernel refuses
 * a second owner of a port, so ports are reserved by being published.
 * @see cni.md 3.10; complaints 2, 16, 18, 33
 */
import { forgetUdpFlows, type PublishedUdp } from '../../src/host/nftables/conntrack.ts';
import { HeldError, claim, missingOf, release, removeTableIfUnused, removeUnusedChains } from '../../src/host/nftables/table.ts';
import { deviceTowards } from '../../src/host/netlink/route-to.ts';
import { RouteSocket } from '../../src/host/netlink/socket.ts';
import { ensureSysctl } from '../../src/host/sysctl.ts';
import { type Cidr, ipFromBytes, parseCidr } from '../../src/model/cidr.ts';
import type { Plugin, PluginContext, PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, type CniResult, cniCode, cniVersions } from '../../src/model/cni/types.ts';
import { messageOf } from '../../src/model/errors.ts';
import { type Element, type SetName, attachmentText, portElements } from '../../src/model/ruleset.ts';
import { expectedOf, keyOf, ofAttachment, ofStale } from '../skel/attachment.ts';
import { portTakenCode, requireNftables, withRuleset } from '../skel/ruleset.ts';
import { type Mapping, type PortmapConf, readConf } from './conf.ts';

const sets: readonly SetName[] = ['ports4', 'ports6', 'hostports4', 'hostports6', 'hairpin4', 'hairpin6'];

/** The pod's first address of each family: of this interface inside a sandbox, or without an interface index. */
export function podAddresses(result: CniResult, ifName: string): Cidr[] {
  const found: Cidr[] = [];
  for (const ip of result.ips ?? []) {
    if (ip.interface !== undefined) {
      const device = result.interfaces?.[ip.interface];
      if (device === undefined || device.name !== ifName || (device.sandbox ?? '') === '') continue;
    }
    const address = parseCidr(ip.address);
    if (address !== undefined && !found.some((other) => other.ip.family === address.ip.family)) found.push(address);
  }
  return found;
}

function elementsFor(req: PluginRequest, conf: PortmapConf, result: CniResult): { addresses: Cidr[]; elements: Element[] } {
  const addresses = podAddresses(result, req.ifName);
  const twice = duplicateOf(conf.mappings);
  if (twice !== undefined) throw new CniError(cniCode.config, `host port ${portText(twice)} is mapped twice`);
  return { addresses, elements: portElements(keyOf(req), conf.mappings, { addresses, snat: conf.snat, masqAll: conf.masqAll }) };
}

const hostText = (mapping: Mapping): string => (mapping.host === undefined || mapping.host.value === 0n ? '' : mapping.host.text);
const portText = (mapping: Mapping): string => `${mapping.hostPort}/${mapping.protocol}${hostText(mapping) === '' ? '' : ` on ${hostText(mapping)}`}`;
/** A mapping whose host side another one of the same pod has, with another container port. */
function duplicateOf(mappings: readonly Mapping[]): Mapping | undefined {
  const seen = new Map<string, Mapping>();
  for (const mapping of mappings) {
    const other = seen.get(portText(mapping));
    if (other !== undefined && other.containerPort !== mapping.containerPort) return mapping;
    seen.set(portText(mapping), mapping);
  }
  return undefined;
}

/** Protocol and port an element of a port map is for, as a person writes it. */
function outsideOf(element: Element): { port: number; protocol: string; address: string } {
  const key = Buffer.from(element.key);
  const at = key.length - 8;
  const names: Readonly<Record<number, string>> = { 6: 'tcp', 17: 'udp', 132: 'sctp' };
  return { port: key.readUInt16BE(at + 4), protocol: names[key[at] ?? 0] ?? '', address: at === 0 ? '' : ipFromBytes(key.subarray(0, at)).text };
}
/** The UDP ports among the elements of port maps. */
function udpOf(elements: readonly Element[]): PublishedUdp[] {
  return elements.flatMap((element) => {
    if (element.value === undefined) return [];
    const { port, protocol, address } = outsideOf(element);
    if (protocol !== 'udp') return [];
    const family = element.set.endsWith('4') ? 4 : 16;
    return [
      { pod: ipFromBytes(element.value.subarray(0, family)), port, host: address === '' ? undefined : parseCidr(`${address}/${family * 8}`)?.ip },
    ];
  });
}

/** Lets connections that start on 127.0.0.1 leave through the pod's host device. Never switched off: other pods share the device. */
function openLoopback(addresses: readonly Cidr[], conf: PortmapConf, ctx: PluginContext): void {
  const pod = addresses.find((address) => address.ip.family === 4);
  const wanted = conf.mappings.some(({ host }) => host === undefined || (host.family === 4 && (host.value === 0n || host.value >> 24n === 127n)));
  if (pod === undefined || !conf.snat || !wanted) return;
  using socket = new RouteSocket();
  const device = deviceTowards(socket, pod.ip);
  if (device === undefined) throw new CniError(cniCode.internal, `no route to the pod's address ${pod.ip.text}`);
  try {
    const before = ensureSysctl(`net/ipv4/conf/${device}/route_localnet`, '1');
    if (before !== undefined) ctx.note({ what: 'sysctl', detail: `net.ipv4.conf.${device}.route_localnet ${before} -> 1` });
  } catch (error) {
    throw new CniError(cniCode.io, `failed to enable route_localnet of ${device}: ${messageOf(error)}`);
  }
}

/** Forgetting old flows is a courtesy: when it fails the port still works for everybody else, so it is only noted. */
function forget(elements: readonly Element[], change: 'published' | 'withdrawn', ctx: PluginContext): void {
  try {
    forgetUdpFlows(udpOf(elements), change);
  } catch (error) {
    ctx.note({ what: 'conntrack', detail: `old UDP flows were not forgotten: ${messageOf(error)}` });
  }
}

export const plugin: Plugin = {
  type: 'portmap',
  versions: cniVersions,
  validate: (req) => void readConf(req.conf),

  add(req, ctx) {
    const conf = readConf(req.conf);
    const { prevResult } = req;
    if (prevResult === undefined) throw new CniError(cniCode.config, 'must be called as chained plugin');
    if (conf.mappings.length === 0) return prevResult;
    conf.notes.forEach((note) => ctx.note(note));
    const { addresses, elements } = elementsFor(req, conf, prevResult);
    if (elements.length === 0) return prevResult;
    withRuleset('publish ports', () => {
      try {
        claim(elements);
      } catch (error) {
        if (!(error instanceof HeldError)) throw error;
        const { port, protocol, address } = outsideOf(error.wanted);
        throw new CniError(
          portTakenCode,
          `host port ${port}/${protocol}${address === '' ? '' : ` on ${address}`} is already published by ${error.holder}`,
        );
      }
    });
    try {
      openLoopback(addresses, conf, ctx);
    } catch (error) {
      withRuleset('withdraw ports', () => release(ofAttachment(keyOf(req), sets, elements)));
      throw error;
    }
    forget(elements, 'published', ctx);
    return prevResult;
  },

  check(req) {
    const conf = readConf(req.conf);
    if (req.prevResult === undefined) throw new CniError(cniCode.config, 'Required prevResult missing');
    if (conf.mappings.length === 0) return;
    const { elements } = elementsFor(req, conf, req.prevResult);
    const [missing] = withRuleset('look up ports', () => missingOf(elements));
    if (missing === undefined) return;
    const what = missing.value === undefined ? 'hairpin masquerade' : `host port ${outsideOf(missing).port}/${outsideOf(missing).protocol}`;
    throw new CniError(cniCode.internal, `${what} of ${attachmentText(keyOf(req))} is missing from ${missing.set} of table inet rkt`);
  },

  del(req, ctx) {
    // Not only with mappings: a runtime may leave runtimeConfig out of DEL, and what an attachment has is known by its name.
    forget(
      withRuleset('withdraw ports', () =>
        release(
          ofAttachment(
            keyOf(req),
            sets,
            expectedOf(req, (result) => elementsFor(req, readConf(req.conf), result).elements),
          ),
        ),
      ),
      'withdrawn',
      ctx,
    );
  },

  gc(req, ctx) {
    withRuleset('withdraw ports', () => {
      forget(release(ofStale(req.conf.name, sets, req.validAttachments)), 'withdrawn', ctx);
      removeUnusedChains();
      removeTableIfUnused();
    });
  },

  status: requireNftables,
};
