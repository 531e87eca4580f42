/** bandwidth's configuration: keys, precedence and messages of the reference (3.12, A3). */
import type { TokenBucket } from '../../src/host/netlink/traffic-control.ts';
import { type Cidr, parseCidr } from '../../src/model/cidr.ts';
import type { PluginRequestConf } from '../../src/model/cni/plugin.ts';
import { CniError, cniCode } from '../../src/model/cni/types.ts';
import { ConfReader } from '../skel/conf.ts';

/** Which traffic is shaped: `all`, all but what goes to or comes from `subnets`, or only that. */
export interface Scope {
  readonly kind: 'all' | 'except' | 'only';
  readonly subnets: readonly Cidr[];
}
export interface BandwidthConf {
  /** of what the pod receives; undefined: not limited */
  readonly ingress: TokenBucket | undefined;
  /** of what the pod sends */
  readonly egress: TokenBucket | undefined;
  readonly scope: Scope;
}

/** How long a packet may wait for its tokens before it is dropped. */
const latencyS = 0.025;
const maxBytes = 0xffff_ffff;
const rateKeys = ['ingressRate', 'ingressBurst', 'egressRate', 'egressBurst'] as const;
const bad = (message: string): CniError => new CniError(cniCode.config, message);

/** Rates of the configuration itself win over those of the runtime as a whole; so do subnets. @throws CniError 7 */
export function readConf(conf: PluginRequestConf): BandwidthConf {
  const inline = new ConfReader(conf);
  const capability = inline.object('runtimeConfig')?.object('bandwidth') ?? new ConfReader({}, 'runtimeConfig.bandwidth');
  const rates = rateKeys.some((key) => inline.value(key) !== undefined) ? inline : capability;
  const scoped = inline.value('unshapedSubnets') !== undefined || inline.value('shapedSubnets') !== undefined ? inline : capability;
  return { ingress: bucketOf(rates, 'ingress'), egress: bucketOf(rates, 'egress'), scope: scopeOf(scoped) };
}

/** Bits in the configuration, bytes in the kernel. */
function bucketOf(conf: ConfReader, direction: 'ingress' | 'egress'): TokenBucket | undefined {
  const rateBits = conf.integer(`${direction}Rate`, 0, Number.MAX_SAFE_INTEGER) ?? 0;
  const burstBits = conf.integer(`${direction}Burst`, 0, Number.MAX_SAFE_INTEGER) ?? 0;
  if (rateBits === 0 && burstBits === 0) return undefined;
  if (burstBits === 0) throw bad(`if rate is set, burst must also be set (${direction})`);
  if (rateBits === 0) throw bad(`if burst is set, rate must also be set (${direction})`);
  const [rate, burst] = [Math.floor(rateBits / 8), Math.floor(burstBits / 8)];
  if (burst >= maxBytes) throw bad(`burst cannot be more than 4GB (${direction}Burst ${burstBits} bits)`);
  if (rate === 0 || burst === 0) throw bad(`${direction}Rate and ${direction}Burst must be at least 8 bits, not ${rateBits} and ${burstBits}`);
  return { rate, burst, limit: Math.min(Math.floor(rate * latencyS) + burst, maxBytes) };
}

function scopeOf(conf: ConfReader): Scope {
  const [except, only] = [subnetsOf(conf, 'unshapedSubnets'), subnetsOf(conf, 'shapedSubnets')];
  if (except.length > 0 && only.length > 0) throw bad('unshapedSubnets and shapedSubnets cannot be both specified, one of them should be discarded');
  if (except.length > 0) return { kind: 'except', subnets: except };
  return only.length > 0 ? { kind: 'only', subnets: only } : { kind: 'all', subnets: [] };
}
const subnetsOf = (conf: ConfReader, key: string): Cidr[] =>
  (conf.texts(key) ?? []).map((text) => {
    const subnet = parseCidr(text);
    if (subnet === undefined) throw bad(`bad subnet ${JSON.stringify(text)} provided in ${key}`);
    return subnet;
  });
