/** What `net create` is asked for, and what it must know of the machine. */
import type { LoadedConf } from '../conf/types.ts';
import type { NetFacts } from '../facts/types.ts';

export const drivers = ['bridge', 'ptp', 'macvlan'] as const;
export type Driver = (typeof drivers)[number];

/** As on the command line: nothing is checked yet. */
export interface NetworkRequest {
  readonly name: string;
  readonly driver: Driver;
  readonly subnets: readonly string[];
  readonly gateways: readonly string[];
  /** parts of the subnets that pods get their addresses from */
  readonly ranges: readonly string[];
  readonly ipv6: boolean;
  readonly isolate: boolean;
  readonly internal: boolean;
  readonly mtu: string | undefined;
  /** undefined: when the driver and the machine can */
  readonly dns: boolean | undefined;
  readonly parent: string | undefined;
}

export interface DefinitionFacts extends NetFacts {
  readonly configs: LoadedConf;
  readonly builtinTypes: readonly string[];
  /** every link of the host */
  readonly links: readonly string[];
  /** files of the administrator's net.d */
  readonly files: readonly string[];
  readonly directory: string;
  readonly hasDnsmasq: boolean;
  /** five random octets in hexadecimal: what makes an IPv6 prefix of our own unique (RFC 4193, 3.2.1) */
  readonly globalId: string;
}
