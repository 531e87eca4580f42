/** What `rm --force` knows of a pod whose journal is lost, and what it says of what stays behind. */
import { existsSync } from 'node:fs';
import type { Step } from '../effects/steps.ts';
import { readText } from '../host/files.ts';
import { isObject } from '../model/cni/known-key.ts';
import type { NetInfo } from '../model/net-info.ts';
import type { NetPlan } from '../model/plan.ts';
import type { PolicyMember } from '../model/policy-member.ts';
import { attachmentText } from '../model/ruleset.ts';
import { readHoldings } from '../net/observe/holdings.ts';
import { networkSteps } from '../stage0/prepare/steps.ts';
import { podFiles } from '../state/pod/layout.ts';

/** Undoing these is harmless where they were never done. Processes are not among them: a pod that is removed has none. */
export function plannedSteps(podDir: string, id: string): { steps: Step[]; unknown: string[] } {
  const files = podFiles(podDir);
  const plan = parsed(files.netPlan) as NetPlan | undefined;
  const info = parsed(files.netInfo) as NetInfo[] | undefined;
  const known: NetPlan = isObject(plan) && Array.isArray(plan.networks) ? plan : { mode: 'contained', networks: [], warnings: [] };
  const joined = Array.isArray(info) ? info : [];
  const later = joined.filter(({ netName, ifName }) => !known.networks.some((network) => network.name === netName && network.ifName === ifName));
  return {
    steps: [...networkSteps(id, known, [], nobody), { kind: 'cgroup.create', path: `rkt/${id}` }],
    unknown: [
      ...(known === plan ? [] : [`${files.netPlan} cannot be read: which networks the pod was planned to join is not known`]),
      ...later.map(
        ({ netName, ifName, ip }) =>
          `network "${netName}" (${ifName}, ${ip}) was not in the pod's plan: rkt net gc ${netName} frees what is left there`,
      ),
    ],
  };
}

/** Who takes part in no policies has nothing to undo of them. */
const nobody: PolicyMember = { namespace: '', name: '', labels: {}, ports: [], brought: '' };

function parsed(path: string): unknown {
  try {
    return JSON.parse(readText(path) ?? '') as unknown;
  } catch {
    return undefined; // what damaged the journal may have damaged this, too
  }
}

/** What can be seen of a step's effect. A foreign plugin may have made more. */
export function leftOf(step: Step): string[] {
  switch (step.kind) {
    case 'network.attach': {
      const key = attachmentText({ network: step.network.name, containerId: step.containerId, ifName: step.network.ifName });
      return readHoldings(step.network, [])
        .holdings.filter((holding) => holding.key === key || (holding.key === undefined && holding.containerId === step.containerId))
        .map(({ what }) => what);
    }
    case 'netns.create':
      return existsSync(step.path) ? [`network namespace ${step.path}`] : [];
    case 'cgroup.create':
      return [`control group ${step.path}`];
    default:
      return [];
  }
}
