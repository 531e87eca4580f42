/** The ways in which a list's plugins are run, and what Debian's leave. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { dist, type Rkt } from './rkt.ts';

export interface PluginWay {
  readonly name: string;
  readonly flags: readonly string[];
  readonly cniVersion: string;
  readonly isForeign: boolean;
}
export const inProcess: PluginWay = { name: 'in process', flags: [], cniVersion: '1.1.0', isForeign: false };
export const ownExecutables: PluginWay = { name: 'as executables', flags: ['--net-exec'], cniVersion: '1.1.0', isForeign: false };
/** They speak up to 1.0.0. */
export const debians: PluginWay = { name: 'Debian’s', flags: ['--net-exec'], cniVersion: '1.0.0', isForeign: true };
export const ways: readonly PluginWay[] = [inProcess, ownExecutables, debians];

const foreignTypes = ['bridge', 'host-local', 'portmap', 'firewall'];

/** Makes net.d with what the way needs: plugins are looked for there first, so that ours come before Debian's. */
export function prepareWay(rkt: Rkt, way: PluginWay): string {
  const netd = join(rkt.config, 'net.d');
  rmSync(netd, { recursive: true, force: true });
  mkdirSync(netd);
  if (way === ownExecutables) for (const type of foreignTypes) symlinkSync(join(dist, 'cni', type), join(netd, type));
  return netd;
}

/** Expects nothing of Debian's plugins but what they never remove, and removes that. `masquerading`: theirs is left, too. */
export function clearForeign(bridge: string, network: string, left: { readonly masquerading: boolean } = { masquerading: false }): void {
  // Chains of single pods are called by a hash; a rule in a shared chain names an address or a port.
  const rules = execFileSync('iptables-save', { encoding: 'utf8' }).split('\n');
  const ofPods = rules.filter((line) => /^:CNI-(DN-)?[0-9a-f]{16,}|10\.\d+\.\d+\.\d+|--dport/.test(line));
  expect(ofPods.filter((line) => !(left.masquerading && /^:CNI-[0-9a-f]{24} |^-A (POSTROUTING|CNI-[0-9a-f]{24}) /.test(line)))).toEqual([]);
  execFileSync('nft', ['flush', 'ruleset']);
  if (existsSync(`/sys/class/net/${bridge}`)) execFileSync('ip', ['link', 'del', bridge]);
  const store = join('/var/lib/cni/networks', network);
  if (!existsSync(store)) return;
  expect(readdirSync(store).filter((name) => !/^(lock|last_reserved_ip\.\d+)$/.test(name))).toEqual([]);
  rmSync(store, { recursive: true });
}
