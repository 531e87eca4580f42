/** The dhcp plugin's configuration, as arguments of its client. @see cni.md 3.18; RFC 2132 */
import type { PluginNote, PluginRequest } from '../../src/model/cni/plugin.ts';
import { CniError, cniCode } from '../../src/model/cni/types.ts';
import type { ConfReader } from '../skel/conf.ts';
import { ipamOf } from '../skel/ipam.ts';

export interface DhcpConf {
  /** how long ADD waits for a lease */
  readonly timeoutMs: number;
  /** of every route of the result; 0: none is set */
  readonly priority: number;
  /** neither the gateway nor default routes are passed on */
  readonly suppressGateway: boolean;
  /** options asked for, by number */
  readonly request: readonly number[];
  /** options sent, by number; the client identifier is one of them */
  readonly provide: ReadonlyMap<number, Buffer>;
  readonly notes: readonly PluginNote[];
}

const option = {
  subnetMask: 1,
  router: 3,
  hostName: 12,
  staticRoutes: 33,
  vendorClass: 60,
  clientId: 61,
  userClass: 77,
  classlessRoutes: 121,
} as const;
/** Names of dhcp-options(5) that the reference knows; all others are given by number. */
const byName: Readonly<Record<string, number>> = {
  'dhcp-client-identifier': option.clientId,
  'subnet-mask': option.subnetMask,
  routers: option.router,
  'host-name': option.hostName,
  'user-class': option.userClass,
  'vendor-class-identifier': option.vendorClass,
};
/** What a result can say. A server need not send what it is not asked for, and routes of option 121 are meant to be asked for (RFC 3442). */
const requestedByDefault: readonly number[] = [option.subnetMask, option.router, option.staticRoutes, option.classlessRoutes];
/** Padding, requested address, overload, message type, server, parameter list, end: the protocol itself. */
const protocolOptions: ReadonlySet<number> = new Set([0, 50, 52, 53, 54, 55, 255]);
const maxOptionBytes = 255;
const defaultTimeoutMs = 20_000;

const badConf = (message: string): CniError => new CniError(cniCode.config, message);

function optionNumber(name: string): number {
  const number = byName[name] ?? (/^\d{1,3}$/.test(name) ? Number(name) : 256);
  if (number > 255)
    throw badConf(`Can not parse option ${JSON.stringify(name)}: it is neither a number up to 254 nor ${Object.keys(byName).join(', ')}`);
  if (protocolOptions.has(number)) throw new CniError(cniCode.unsupportedField, `option ${JSON.stringify(name)} is the protocol's own`);
  return number;
}

/** @throws CniError 7, 2 */
export function readConf(req: PluginRequest): DhcpConf {
  const ipam = ipamOf(req);
  const requests = ipam.objects('request') ?? [];
  const wanted = requests.flatMap((entry) => {
    const name = entry.text('option') ?? '';
    return name === '' && entry.flag('skipDefault') === true ? [] : [optionNumber(name)];
  });
  const skipDefault = requests.some((entry) => entry.flag('skipDefault') === true);
  return {
    timeoutMs: ipam.integer('timeoutMs', 1_000, 600_000) ?? defaultTimeoutMs,
    priority: ipam.integer('priority', 0, 0xffff_ffff) ?? 0,
    suppressGateway: suppresses(ipam),
    request: [...new Set([...(skipDefault ? [] : requestedByDefault), ...wanted])].sort((a, b) => a - b),
    provide: new Map([[option.clientId, clientId(req)], ...provided(ipam, req)]),
    notes:
      (ipam.text('daemonSocketPath') ?? '') === ''
        ? []
        : [{ what: 'dhcp', detail: 'daemonSocketPath is not used: each attachment has a client of its own, and there is no daemon' }],
  };
}

function suppresses(ipam: ConfReader): boolean {
  const items = ipam.texts('suppress') ?? [];
  const unknown = items.find((item) => item !== 'gateway');
  if (unknown !== undefined) throw badConf(`unknown suppress value ${JSON.stringify(unknown)} (supported: "gateway")`);
  return items.length > 0;
}

/** Type 0 ("not a hardware address") and the attachment's name: one lease per attachment, the same one when it comes back. */
function clientId({ containerId, conf, ifName }: PluginRequest): Buffer {
  return Buffer.concat([Buffer.from([0]), Buffer.from(`${containerId}/${conf.name}/${ifName}`).subarray(0, maxOptionBytes - 1)]);
}

/** `value`, or what `fromArg` names in CNI_ARGS, if that is there. */
function provided(ipam: ConfReader, { args }: PluginRequest): [number, Buffer][] {
  return (ipam.objects('provide') ?? []).flatMap((entry): [number, Buffer][] => {
    const name = entry.text('option') ?? '';
    const number = optionNumber(name);
    const value = args.get(entry.text('fromArg') ?? '') ?? entry.text('value') ?? '';
    const bytes = Buffer.from(value);
    if (bytes.length > maxOptionBytes) throw badConf(`value too long for option ${JSON.stringify(name)}: ${JSON.stringify(value)}`);
    return bytes.length === 0 ? [] : [[number, bytes]];
  });
}
