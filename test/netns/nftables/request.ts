/** Requests as a runtime makes them, for the pods of world.ts. */
import type { PluginContext, PluginNote, PluginRequest } from '../../../src/model/cni/plugin.ts';
import type { AttachmentId, CniCommand, CniResult } from '../../../src/model/cni/types.ts';
import { pods } from './world.ts';

export const context = (notes: PluginNote[]): PluginContext => ({
  delegate: () => {
    throw new Error('no IPAM here');
  },
  note: (note) => void notes.push(note),
});

export const resultOf = (pod: keyof typeof pods): CniResult => ({
  cniVersion: '1.1.0',
  interfaces: [{ name: pods[pod].bridge }, { name: `v${pod}` }, { name: 'eth0', sandbox: `/run/netns/${pod}` }],
  ips: [
    { address: pods[pod].v4, interface: 2 },
    { address: pods[pod].v6, interface: 2 },
  ],
});

export function request(
  command: CniCommand,
  pod: keyof typeof pods | '',
  extra: Record<string, unknown> = {},
  validAttachments: readonly AttachmentId[] = [],
): PluginRequest {
  const withResult = command === 'ADD' || command === 'CHECK';
  return {
    command,
    containerId: pod,
    netns: withResult ? `/run/netns/${pod}` : '',
    ifName: pod === '' ? '' : 'eth0',
    args: new Map(),
    path: [],
    conf: { name: 'net', cniVersion: '1.1.0', type: 'test', ...extra },
    prevResult: withResult && pod !== '' ? resultOf(pod) : undefined,
    validAttachments,
  };
}
