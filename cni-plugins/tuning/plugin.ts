/**
 * tuning: kernel settings of the pod's network namespace, and hardware address, MTU, queue length and receive modes of its interface.
 * @see cni.md 3.13; complaint 32
 */
import { linkByName, setAllMulticast, setMac, setMtu, setPromiscuous, setTxQueueLen, type Link } from '../../src/host/netlink/rtnetlink.ts';
import { RouteSocket, type Request } from '../../src/host/netlink/socket.ts';
import { readSysctl, writeSysctl } from '../../src/host/sysctl.ts';
import type { Plugin, PluginContext, PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, type CniResult, cniCode, cniVersions } from '../../src/model/cni/types.ts';
import { messageOf } from '../../src/model/errors.ts';
import { attachmentText } from '../../src/model/ruleset.ts';
import { aliveTexts, keyOf } from '../skel/attachment.ts';
import { allOf } from '../skel/interface.ts';
import { inPod, podExists } from '../skel/netns.ts';
import { readAllowlist, refuseForbidden } from './allowlist.ts';
import { type Attributes, dataDirOf, readConf, sameText, type Setting, type TuningConf } from './conf.ts';
import { type ChangedSetting, forget, otherOwner, save, saved, type Saved, savedOf } from './saved.ts';

export const plugin: Plugin = {
  type: 'tuning',
  versions: cniVersions,
  validate: (req) => void readConf(req),

  add(req) {
    const conf = readConf(req);
    refuseForbidden(conf.settings);
    if (req.prevResult === undefined) throw new CniError(cniCode.config, 'Required prevResult missing');
    inPod(req, () => tune(req, conf));
    return withAttributes(req.prevResult, req, conf.attributes);
  },

  check(req) {
    const conf = readConf(req);
    const { prevResult } = req;
    if (prevResult === undefined) throw new CniError(cniCode.config, 'Required prevResult missing');
    inPod(req, () => {
      const link = isEmpty(conf.attributes) ? undefined : ownLink(req);
      for (const setting of conf.settings) {
        const current = readOrFail(setting);
        if (!sameText(current, setting.value))
          throw new CniError(
            cniCode.internal,
            `Error: Tuning configured value of /proc/sys/${setting.path} is ${setting.value}, current value is ${current}`,
          );
      }
      const fault = link === undefined ? undefined : faultOf(link, conf.attributes, prevResult);
      if (fault !== undefined) throw new CniError(cniCode.internal, `Error: Tuning configured ${fault}`);
    });
  },

  del(req, ctx) {
    const dataDir = dataDirOf(req);
    // A wrong setting of something that is about to go is no reason to keep it (P8): what cannot be put back is noted.
    if (ctx.netnsDies !== true && podExists(req)) {
      try {
        const before = saved(dataDir, keyOf(req));
        if (before !== undefined) inPod(req, () => restore(req.ifName, before, ctx));
      } catch (error) {
        ctx.note({ what: 'restore', detail: messageOf(error) });
      }
    }
    if (otherOwner(dataDir, keyOf(req)) === undefined) forget(dataDir, keyOf(req));
  },

  gc(req) {
    const dataDir = dataDirOf(req);
    const alive = aliveTexts(req.conf.name, req.validAttachments);
    allOf(savedOf(dataDir, req.conf.name).flatMap((key) => (alive.has(attachmentText(key)) ? [] : [() => forget(dataDir, key)])));
  },

  status() {
    try {
      readAllowlist();
    } catch (error) {
      throw new CniError(cniCode.notAvailable, messageOf(error));
    }
  },
};

const isEmpty = (attributes: Attributes): boolean => Object.values(attributes).every((value) => value === undefined);
function ownLink({ ifName }: PluginRequest): Link {
  using socket = new RouteSocket();
  const link = linkByName(socket, ifName);
  if (link === undefined) throw new CniError(cniCode.internal, `failed to get ${JSON.stringify(ifName)}: no such interface`);
  return link;
}

/** In the pod's namespace. Old values are on disk before the first change; when a change fails all go back. */
function tune(req: PluginRequest, { dataDir, settings, attributes }: TuningConf): void {
  const link = isEmpty(attributes) ? undefined : ownLink(req);
  const before: Omit<Saved, 'owner'> = {
    attributes: link === undefined ? {} : valuesOf(link, attributes),
    settings: settings.flatMap((setting) => changeOf(setting)),
  };
  if (link === undefined && settings.length === 0) return;
  const other = otherOwner(dataDir, keyOf(req));
  if (other !== undefined)
    throw new CniError(cniCode.internal, `old values of ${attachmentText(keyOf(req))} would be kept in the file of ${attachmentText(other)}`);
  try {
    save(dataDir, keyOf(req), before);
  } catch (error) {
    throw new CniError(cniCode.io, `cannot save old values in ${dataDir}: ${messageOf(error)}`);
  }
  try {
    settings.forEach(write);
    using socket = new RouteSocket();
    if (link !== undefined) socket.request(requestsFor(link, attributes));
  } catch (error) {
    allOf([() => restore(req.ifName, { ...before, owner: undefined }, { note: () => undefined }), () => forget(dataDir, keyOf(req))]);
    throw error;
  }
}

function write({ key, path, value }: Setting): void {
  try {
    writeSysctl(path, value);
  } catch (error) {
    throw new CniError(cniCode.io, `cannot set sysctl ${key} to ${JSON.stringify(value)}: ${messageOf(error)}`);
  }
}
function readOrFail({ key, path }: Setting): string {
  try {
    return readSysctl(path);
  } catch (error) {
    throw new CniError(cniCode.io, `cannot read sysctl ${key}: ${messageOf(error)}`);
  }
}
/** Some settings can only be written (`net.ipv4.route.flush`): they have no old value. */
function changeOf({ path, value }: Setting): ChangedSetting[] {
  try {
    return [{ path, before: readSysctl(path), set: value }];
  } catch {
    return [];
  }
}

/** Those of the link's values that `wanted` has an opinion of. */
const valuesOf = (link: Link, wanted: Attributes): Attributes => ({
  mac: wanted.mac === undefined ? undefined : link.mac,
  promisc: wanted.promisc === undefined ? undefined : link.promiscuous,
  mtu: wanted.mtu === undefined ? undefined : link.mtu,
  allmulti: wanted.allmulti === undefined ? undefined : link.allMulticast,
  txQLen: wanted.txQLen === undefined ? undefined : link.txQueueLen,
});
const requestsFor = ({ index }: Link, { mac, promisc, mtu, allmulti, txQLen }: Attributes): Request[] => [
  ...(mac === undefined ? [] : [setMac(index, mac)]),
  ...(promisc === undefined ? [] : [setPromiscuous(index, promisc)]),
  ...(mtu === undefined ? [] : [setMtu(index, mtu)]),
  ...(allmulti === undefined ? [] : [setAllMulticast(index, allmulti)]),
  ...(txQLen === undefined ? [] : [setTxQueueLen(index, txQLen)]),
];

/** In the pod's namespace. A setting that somebody changed since is left to them; what fails is noted, and the rest goes on. */
function restore(ifName: string, { attributes, settings }: Saved, ctx: Pick<PluginContext, 'note'>): void {
  const attempt = (act: () => void): void => {
    try {
      act();
    } catch (error) {
      ctx.note({ what: 'restore', detail: messageOf(error) });
    }
  };
  for (const { path, before, set } of settings.toReversed())
    attempt(() => {
      if (sameText(readSysctl(path), set)) writeSysctl(path, before);
    });
  using socket = new RouteSocket();
  const link = linkByName(socket, ifName);
  if (link === undefined) return;
  for (const request of requestsFor(link, attributes)) attempt(() => socket.request([request]));
}

/** What differs from what was asked for. A later plugin of the chain may have chosen another MAC: then the result has that one (32, P10). */
function faultOf(link: Link, wanted: Attributes, result: CniResult): string | undefined {
  const has = valuesOf(link, wanted);
  const told = (result.interfaces ?? []).filter(({ name }) => name === link.name).map(({ mac }) => mac?.toLowerCase());
  if (has.mac !== wanted.mac && !told.includes(has.mac)) return `Ethernet of ${link.name} is ${wanted.mac}, current value is ${has.mac}`;
  if (has.promisc !== wanted.promisc) return `promisc of ${link.name} is ${wanted.promisc}, current value is ${has.promisc}`;
  if (has.mtu !== wanted.mtu) return `MTU of ${link.name} is ${wanted.mtu}, current value is ${has.mtu}`;
  if (has.allmulti !== wanted.allmulti) return `all-multicast mode of ${link.name} is ${wanted.allmulti}, current value is ${has.allmulti}`;
  return has.txQLen === wanted.txQLen ? undefined : `queue length of ${link.name} is ${wanted.txQLen}, current value is ${has.txQLen}`;
}

/** The pod's interface in the result gets its new MAC, and MTU where the result tells one. */
function withAttributes(result: CniResult, { ifName }: PluginRequest, { mac, mtu }: Attributes): CniResult {
  if (result.interfaces === undefined || (mac === undefined && mtu === undefined)) return result;
  return {
    ...result,
    interfaces: result.interfaces.map((one) =>
      one.name !== ifName || (one.sandbox ?? '') === ''
        ? one
        : { ...one, ...(mac === undefined ? {} : { mac }), ...(mtu === undefined || one.mtu === undefined ? {} : { mtu }) },
    ),
  };
}
