/** CNI values as rkt holds them in memory: the 1.1.0 shape, whatever version is on the wire. @see cni.md 1.1-1.6 */

/** Versions we speak, oldest first. */
export const cniVersions = ['0.1.0', '0.2.0', '0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const;
export type CniVersion = (typeof cniVersions)[number];
export type CniCommand = 'ADD' | 'DEL' | 'CHECK' | 'GC' | 'STATUS' | 'VERSION';

export interface CniInterface {
  name: string;
  mac?: string;
  mtu?: number;
  sandbox?: string;
  socketPath?: string;
  pciID?: string;
}
/** `address` keeps its host bits; `interface` indexes `interfaces` (0 is meaningful, K10). */
export interface CniIp {
  address: string;
  gateway?: string;
  interface?: number;
}
export interface CniRoute {
  dst: string;
  gw?: string;
  mtu?: number;
  advmss?: number;
  priority?: number;
  table?: number | null;
  scope?: number | null;
}
export interface CniDns {
  nameservers?: string[];
  domain?: string;
  search?: string[];
  options?: string[];
}
export interface CniResult {
  cniVersion: string;
  interfaces?: CniInterface[];
  ips?: CniIp[];
  routes?: CniRoute[];
  dns?: CniDns;
}

/** Plugin configuration object as it is in the file: unknown keys are kept (C11). */
export type PluginConf = {
  type: string;
  ipam?: { type: string; [key: string]: unknown };
  capabilities?: Record<string, boolean>;
  dns?: CniDns;
  ipMasq?: boolean;
  [key: string]: unknown;
};

export interface PortMapping {
  hostPort: number;
  containerPort: number;
  protocol: 'tcp' | 'udp' | 'sctp';
  hostIP?: string;
}
/** `8080->80/tcp`, `127.0.0.1:8080->80/tcp`, `[fd00::1]:53->53/udp`: host side, pod side. */
export const portText = ({ hostPort, containerPort, protocol, hostIP }: PortMapping): string =>
  `${hostIP === undefined ? '' : `${hostIP.includes(':') ? `[${hostIP}]` : hostIP}:`}${hostPort}->${containerPort}/${protocol}`;

/** Capability arguments rkt can supply (A1-A11). */
export interface CapabilityArgs {
  portMappings?: PortMapping[];
  ips?: string[];
  mac?: string;
  [capability: string]: unknown;
}

/** One (containerID, ifname): what CNI calls an attachment (R17). */
export interface AttachmentId {
  containerID: string;
  ifname: string;
}

/** Well-known CNI error codes (P23). */
export const cniCode = {
  version: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  environment: 4,
  io: 5,
  decode: 6,
  config: 7,
  netns: 8,
  tryAgain: 11,
  notAvailable: 50,
  limited: 51,
  internal: 999,
} as const;
/** A CNI error object as an exception: what a plugin prints, or printed. */
export class CniError extends Error {
  constructor(
    readonly cniCode: number,
    message: string,
    readonly details = '',
  ) {
    super(message);
    this.name = 'CniError';
  }
}
