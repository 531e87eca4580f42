/** dhcp: an address from a DHCP server, kept by a client per attachment; no daemon. @see cni.md 3.18, row 23; README.md */
import { linkByName, setUp } from '../../src/host/netlink/rtnetlink.ts';
import { RouteSocket } from '../../src/host/netlink/socket.ts';
import { netnsExists, netnsIdentity, withNetns } from '../../src/host/netns.ts';
import type { Plugin, PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, cniCode, cniVersions } from '../../src/model/cni/types.ts';
import { allOf, asCni } from '../skel/interface.ts';
import { acquire, checkClient, findClient, releaseClient, stopClient } from './client.ts';
import { readConf } from './conf.ts';
import { resultOf } from './lease.ts';
import { type ClientFiles, clientFiles, forget, filesOfNetwork, readRecord, writeRecord } from './store.ts';

const idOf = (req: PluginRequest) => ({ containerID: req.containerId, ifname: req.ifName });

function end(files: ClientFiles): void {
  stopClient(files);
  forget(files);
}

/** The client works through the interface: it is there before ADD is delegated, and up from here on. */
function bringUp({ netns, ifName }: PluginRequest): void {
  if (!netnsExists(netns)) throw new CniError(cniCode.netns, `no network namespace at ${netns}`);
  withNetns(netns, () => {
    using socket = new RouteSocket();
    const link = linkByName(socket, ifName);
    if (link === undefined)
      throw new CniError(
        cniCode.internal,
        `no interface ${ifName} in ${netns} to ask a DHCP server through`,
        'dhcp works below plugins that make the interface before they ask for its address (bridge, macvlan), not below ptp',
      );
    socket.request([setUp(link.index, ifName)]);
  });
}

export const plugin: Plugin = {
  type: 'dhcp',
  versions: cniVersions,
  validate: (req) => void readConf(req),

  add(req, ctx) {
    const conf = readConf(req);
    conf.notes.forEach((note) => ctx.note(note));
    findClient();
    bringUp(req);
    const files = clientFiles(req.conf.name, idOf(req));
    // A main plugin asks only for an interface that it has just made: an older client has lost its own.
    end(files);
    try {
      writeRecord(files, { ...idOf(req), netns: netnsIdentity(req.netns) });
      const lease = acquire(files, req.netns, req.ifName, conf);
      if (lease.nameservers.length > 0)
        ctx.note({ what: 'dns', detail: `the lease of ${lease.server} names ${lease.nameservers.join(', ')}, which this plugin does not pass on` });
      return resultOf(lease, conf);
    } catch (error) {
      end(files);
      throw asCni(error);
    }
  },

  check(req) {
    checkClient(clientFiles(req.conf.name, idOf(req)), req.netns, req.ifName);
  },

  del(req) {
    end(clientFiles(req.conf.name, idOf(req)));
  },

  release: (req) => releaseClient(clientFiles(req.conf.name, idOf(req))),

  gc(req) {
    const valid = new Set(req.validAttachments.map(({ containerID, ifname }) => `${containerID}:${ifname}`));
    const isStale = (files: ClientFiles): boolean => {
      const record = readRecord(files);
      return record === undefined || !valid.has(`${record.containerID}:${record.ifname}`);
    };
    const stale = filesOfNetwork(req.conf.name).filter(isStale);
    allOf(stale.map((files) => () => end(files)));
  },

  status(req) {
    readConf(req);
    findClient();
  },
};
