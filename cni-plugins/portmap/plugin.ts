/**
 * portmap: publishes pod ports on the host. Every mapping is an element of a map in table `inet rkt`; the kernel refuses
 * a second owner of a port, so ports are reserved by being published.
 * @see cni.md 3.10; complaints 2, 16, 18, 33
 */
import { forgetUdpFlows, type PublishedUdp } from '../../src/host/nftables/conntrack.ts';
import { HeldError, claim, holderOf, missingOf, release, removeTableIfUnused, removeUnusedChains } from '../../src/host/nftables/table.ts';
import { releaseElements, releaseFlows } from '../../src/host/nftables/release.ts';
import { wayTowards } from '../../src/host/netlink/route-to.ts';
import { RouteSocket } from '../../src/host/netlink/socket.ts';
import { ensureSysctl } from '../../src/host/sysctl.ts';
import { type Cidr, type Ip, ipFromBytes, parseCidr } from '../../src/model/cidr.ts';
import type { Plugin, PluginContext, PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, type CniResult, cniCode, cniVersions } from '../../src/model/cni/types.ts';
import { messageOf } from '../../src/model/errors.ts';
import { type Element, type SetName, attachmentText, isHostPort, isSameContainer, portElements } from '../../src/model/ruleset.ts';
import { hostPortOf } from '../../src/model/ruleset/describe.ts';
import { expectedOf, keyOf, ofAttachment, ofStale } from '../skel/attachment.ts';
import { Repairs, repairElements, repairSysctl } from '../skel/repair.ts';
import { portTakenCode, requireNftables, tidyRuleset, withRuleset } from '../skel/ruleset.ts';
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

/**
 * Claims all but the ports that another attachment of the same container has: podman gives every network of a container all
 * of its ports, so they are published already. @returns what was claimed @throws CniError portTakenCode naming the holder
 */
function publish(elements: readonly Element[], ctx: PluginContext): readonly Element[] {
  let wanted = elements;
  for (;;) {
    try {
      claim(wanted);
      return wanted;
    } catch (error) {
      if (!(error instanceof HeldError)) throw error;
      const { wanted: taken, holder } = error;
      const { port, protocol, address } = hostPortOf(taken);
      const what = `host port ${port}/${protocol}${address === '' ? '' : ` on ${address}`}`;
      if (!isSameContainer(holder, taken.comment)) throw new CniError(portTakenCode, `${what} is already published by ${holder}`);
      ctx.note({ what: 'port', detail: `${what} leads to this container already, published by ${holder}` });
      wanted = wanted.filter((element) => element !== taken);
    }
  }
}

/** Whether the container has the port by another of its attachments, so that {@link publish} left it there. */
function isLeftToAnother(element: Element): boolean {
  const holder = isHostPort(element) ? holderOf(element) : undefined;
  return holder !== undefined && holder !== element.comment && isSameContainer(holder, element.comment);
}

/** The UDP ports among the elements of port maps. */
function udpOf(elements: readonly Element[]): PublishedUdp[] {
  return elements.flatMap((element) => {
    if (element.value === undefined) return [];
    const { port, protocol, address } = hostPortOf(element);
    if (protocol !== 'udp') return [];
    const family = element.set.endsWith('4') ? 4 : 16;
    return [
      { pod: ipFromBytes(element.value.subarray(0, family)), port, host: address === '' ? undefined : parseCidr(`${address}/${family * 8}`)?.ip },
    ];
  });
}

/** The pod's address that connections from 127.0.0.1 are led to; undefined when none of them is published. */
function loopbackTarget(addresses: readonly Cidr[], conf: PortmapConf): Ip | undefined {
  const pod = addresses.find((address) => address.ip.family === 4);
  const wanted = conf.mappings.some(({ host }) => host === undefined || (host.family === 4 && (host.value === 0n || host.value >> 24n === 127n)));
  return conf.snat && wanted ? pod?.ip : undefined;
}
/** The setting that lets them leave through the device the host reaches the pod by; undefined when no route leads to it. */
function loopbackKey(pod: Ip): { key: string; isDirect: boolean } | undefined {
  using socket = new RouteSocket();
  const way = wayTowards(socket, pod);
  return way === undefined ? undefined : { key: `net/ipv4/conf/${way.device}/route_localnet`, isDirect: way.isDirect };
}

/** Never switched off: other pods share the device. */
function openLoopback(addresses: readonly Cidr[], conf: PortmapConf, ctx: PluginContext): void {
  const target = loopbackTarget(addresses, conf);
  if (target === undefined) return;
  const way = loopbackKey(target);
  if (way === undefined) throw new CniError(cniCode.internal, `no route to the pod's address ${target.text}`);
  const { key } = way;
  try {
    const before = ensureSysctl(key, '1');
    if (before !== undefined) ctx.note({ what: 'sysctl', detail: `${key.replaceAll('/', '.')} ${before} -> 1` });
  } catch (error) {
    throw new CniError(cniCode.io, `failed to set ${key.replaceAll('/', '.')}: ${messageOf(error)}`);
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
    const published = withRuleset('publish ports', () => publish(elements, ctx));
    try {
      openLoopback(addresses, conf, ctx);
    } catch (error) {
      withRuleset('withdraw ports', () => release(ofAttachment(keyOf(req), sets, published)));
      throw error;
    }
    forget(published, 'published', ctx);
    return prevResult;
  },

  check(req) {
    const conf = readConf(req.conf);
    if (req.prevResult === undefined) throw new CniError(cniCode.config, 'Required prevResult missing');
    if (conf.mappings.length === 0) return;
    const { elements } = elementsFor(req, conf, req.prevResult);
    const missing = withRuleset('look up ports', () => missingOf(elements).find((element) => !isLeftToAnother(element)));
    if (missing === undefined) return;
    const what = missing.value === undefined ? 'hairpin masquerade' : `host port ${hostPortOf(missing).port}/${hostPortOf(missing).protocol}`;
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

  release(req) {
    const elements = expectedOf(req, (result) => elementsFor(req, readConf(req.conf), result).elements);
    return [...releaseElements(elements), ...releaseFlows(udpOf(elements))];
  },

  gc(req, ctx) {
    withRuleset('withdraw ports', () => {
      forget(release(ofStale(req.conf.name, sets, req.validAttachments)), 'withdrawn', ctx);
      removeUnusedChains();
      removeTableIfUnused();
    });
  },

  tidy: tidyRuleset,
  status: requireNftables,

  rules: (req) => expectedOf(req, (result) => elementsFor(req, readConf(req.conf), result).elements),

  repair(req, _ctx, apply) {
    const conf = readConf(req.conf);
    const repairs = new Repairs(apply);
    if (req.prevResult === undefined || conf.mappings.length === 0) return repairs.found;
    const { addresses, elements } = elementsFor(req, conf, req.prevResult);
    const left = withRuleset('look up ports', () => missingOf(elements).filter(isLeftToAnother));
    repairElements(
      repairs,
      elements.filter((element) => !left.includes(element)),
    );
    const target = loopbackTarget(addresses, conf);
    const way = target === undefined ? undefined : loopbackKey(target);
    // Without a route of its own something else is missing, which the plugin of the interface tells; the device of a gateway is not the pod's.
    if (way?.isDirect === true) repairSysctl(repairs, way.key, '1');
    return repairs.found;
  },
};
