/**
 * sbr: source based routing. What a pod sends from an address of this interface leaves through this interface: each address gets
 * a rule and a table of its own, with the interface's routes.
 * @see cni.md 3.14
 */
import { isErrno } from '../../src/host/linux.ts';
import {
  addSourceRule,
  copyRoute,
  deleteCopy,
  deleteMade,
  deleteRoute,
  deleteSourceRule,
  freeTables,
  listRules,
  mainTable,
  routesThrough,
  tablesWithRoutes,
  type KernelRoute,
  type Rule,
} from '../../src/host/netlink/policy-routing.ts';
import { ensureRoute, linkByName, listAddresses, listLinks, RT_SCOPE, type Link } from '../../src/host/netlink/rtnetlink.ts';
import { RouteSocket, type Request } from '../../src/host/netlink/socket.ts';
import { type Cidr, type Ip, ipFromValue } from '../../src/model/cidr.ts';
import type { Plugin, PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, type CniResult, cniCode, cniVersions } from '../../src/model/cni/types.ts';
import { addressesToForget, allOf, type Lease, ownLeases } from '../skel/interface.ts';
import { inPod, lockPod, podExists } from '../skel/netns.ts';
import { readConf, type SbrConf, tableOf } from './conf.ts';
import { planRoutes } from './plan.ts';

/** The mark of our rules, which the kernel keeps and does nothing with: those to a table of ours, those to one of the configuration. */
const [ownTable, givenTable] = [114, 115];
const firstTable = 100;
const everywhere = ({ family }: Ip): Cidr => ({ ip: ipFromValue(family, 0n), prefixLen: 0 });

export const plugin: Plugin = {
  type: 'sbr',
  versions: cniVersions,
  validate: (req) => void readConf(req.conf),

  add(req) {
    const conf = readConf(req.conf);
    const { prevResult } = req;
    if (prevResult === undefined) throw new CniError(cniCode.config, 'This plugin must be called as chained plugin');
    const leases = leasesFor(req, prevResult);
    using held = lockPod(req);
    void held;
    inPod(req, () => {
      using socket = new RouteSocket();
      makeRoutes(socket, req, conf, leases);
    });
    return prevResult;
  },

  check(req) {
    const conf = readConf(req.conf);
    if (req.prevResult === undefined) throw new CniError(cniCode.config, 'This plugin must be called as chained plugin');
    const leases = leasesFor(req, req.prevResult);
    inPod(req, () => {
      using socket = new RouteSocket();
      const link = ownLink(socket, req);
      const rules = listRules(socket);
      const routes = routesThrough(socket, link.index);
      for (const { address, gateway } of leases) {
        const rule = rules.find((one) => isFrom(one, address.ip) && (conf.table === undefined || one.table === conf.table));
        if (rule === undefined) throw new CniError(cniCode.internal, `rule for ${address.ip.text} is missing`);
        const via = conf.gateways.find(({ family }) => family === address.ip.family) ?? gateway;
        if (conf.table === undefined && via !== undefined && !routes.some(({ table, dst }) => table === rule.table && dst.prefixLen === 0))
          throw new CniError(cniCode.internal, `default route of ${address.ip.text} is missing from table ${rule.table}`);
      }
    });
  },

  del(req, ctx) {
    // Rules and tables are the namespace's and go with it.
    if (ctx.netnsDies === true || !podExists(req)) return;
    using held = lockPod(req);
    void held;
    inPod(req, () => {
      using socket = new RouteSocket();
      removeRules(socket, req);
    });
  },

  gc() {
    // Nothing is kept outside of the pod's namespace.
  },

  status() {
    using socket = new RouteSocket();
    // Every kernel that has rules has three of its own.
    if (listRules(socket).length === 0) throw new CniError(cniCode.notAvailable, 'this kernel has no policy routing (CONFIG_IP_MULTIPLE_TABLES)');
  },
};

function leasesFor({ ifName }: PluginRequest, result: CniResult): Lease[] {
  const leases = ownLeases(result, ifName);
  if (leases.length === 0) throw new CniError(cniCode.config, `No IP addresses supplied on interface: ${ifName}`);
  return leases;
}
function ownLink(socket: RouteSocket, { ifName }: PluginRequest): Link {
  const link = linkByName(socket, ifName);
  if (link === undefined) throw new CniError(cniCode.internal, `Cannot find network interface ${ifName}`);
  return link;
}
const isFrom = ({ source }: Rule, ip: Ip): boolean =>
  source !== undefined && source.ip.text === ip.text && source.prefixLen === (ip.family === 4 ? 32 : 128);

/** One change after another, each with what undoes it: when one fails, those before it are undone. */
function makeRoutes(socket: RouteSocket, req: PluginRequest, conf: SbrConf, leases: readonly Lease[]): void {
  const undo: Request[] = [];
  const change: Change = (request, ...back) => {
    socket.request([request]);
    undo.unshift(...back);
  };
  const protocol = conf.table === undefined ? ownTable : givenTable;
  const addRule = (ip: Ip, table: number): void => change(addSourceRule(ip, table, protocol), deleteSourceRule(ip, { table, protocol }));
  try {
    if (conf.table !== undefined) {
      for (const { address } of leases) addRule(address.ip, conf.table);
      return;
    }
    const link = ownLink(socket, req);
    const main = routesThrough(socket, link.index).filter(({ table }) => table === mainTable);
    const plan = planRoutes(leases, main, conf.gateways, conf.addSourceHints);
    const tables = freeTables(socket, firstTable, leases.length);
    plan.addresses.forEach(({ lease, gateway, copies }, i) => {
      const table = tables[i] ?? firstTable;
      addRule(lease.address.ip, table);
      for (const route of copies) change(copyRoute(route, table), deleteCopy(route, table));
      if (gateway === undefined) return;
      const route = ensureRoute(link.index, { dst: everywhere(gateway), gateway, table });
      change(route, deleteMade(route));
    });
    for (const { subnet, source, route } of plan.hints) hint(change, link, subnet, source, route);
    for (const route of plan.leave) change(deleteRoute(route), copyRoute(route, mainTable));
  } catch (error) {
    allOf(
      undo.map((request) => () => {
        try {
          socket.request([request]);
        } catch (failure) {
          if (!isErrno(failure, 'ESRCH', 'ENOENT', 'EEXIST')) throw failure; // somebody else undid it
        }
      }),
    );
    throw error;
  }
}

/** Makes one change; `back` undoes it, in this order. */
type Change = (request: Request, ...back: Request[]) => void;

/** The route to the subnet names the address as source; a subnet without route is on the link. */
function hint(change: Change, link: Link, subnet: Cidr, source: Ip, route: KernelRoute | undefined): void {
  if (route?.source !== undefined) return;
  const gateway = route?.gateway;
  const scope = gateway === undefined ? RT_SCOPE.LINK : RT_SCOPE.UNIVERSE;
  const hinted = ensureRoute(link.index, { dst: subnet, gateway, source, scope, priority: route?.priority });
  change(hinted, deleteMade(hinted), ...(route === undefined ? [] : [copyRoute(route, mainTable)]));
}

/**
 * Rules of this attachment: ours for its addresses, as the interface has them or the result tells. When neither tells any more, those
 * to a table with routes through this interface, or with none at all (they went with it); with a table of the configuration,
 * those from an address that nothing in the pod has.
 */
function removeRules(socket: RouteSocket, req: PluginRequest): void {
  const configured = tableOf(req.conf);
  const link = linkByName(socket, req.ifName);
  const own = new Set([...(link === undefined ? [] : addressesOf(socket, link)), ...addressesToForget(req).map(({ ip }) => ip.text)]);
  const filled = tablesWithRoutes(socket);
  const held = new Set(listLinks(socket).flatMap((other) => addressesOf(socket, other)));
  const through = link === undefined ? [] : routesThrough(socket, link.index).filter(({ table }) => table !== mainTable);
  const isDoomed = ({ source, table, protocol }: Rule): boolean => {
    if (source === undefined) return false;
    if (configured !== undefined) return protocol === givenTable && table === configured && (own.has(source.ip.text) || !held.has(source.ip.text));
    return protocol === ownTable && (own.has(source.ip.text) || !filled.has(table) || through.some((route) => route.table === table));
  };
  const doomed = listRules(socket).filter(isDoomed);
  const tables = new Set(configured === undefined ? doomed.map(({ table }) => table) : []);
  const routes = through.filter(({ table }) => tables.has(table));
  allOf(
    [...doomed.flatMap((rule) => (rule.source === undefined ? [] : [deleteSourceRule(rule.source.ip, rule)])), ...routes.map(deleteRoute)].map(
      (request) => () => {
        try {
          socket.request([request]);
        } catch (error) {
          if (!isErrno(error, 'ESRCH', 'ENOENT')) throw error; // it went meanwhile
        }
      },
    ),
  );
}
const addressesOf = (socket: RouteSocket, { index }: Link): string[] =>
  ([4, 6] as const).flatMap((family) => listAddresses(socket, index, family)).map(({ ip }) => ip.text);
