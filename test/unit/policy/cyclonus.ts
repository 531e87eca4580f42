/** The shared cases of Cyclonus' generator with their expected tables, as experiments. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { readExperiment } from '../../../src/policy/manifests/experiment.ts';
import type { Experiment } from '../../../src/policy/model/experiment.ts';

export interface CyclonusStep {
  readonly Policies: readonly unknown[];
  readonly Namespaces: Readonly<Record<string, Readonly<Record<string, string>>>>;
  readonly Pods: readonly { readonly Ns: string; readonly Name: string; readonly IP: string; readonly Labels: unknown; readonly Ports: unknown }[];
  /** from → to → `TCP/80` → ingress, egress, combined; `.` or `X` */
  readonly Expected: Readonly<Record<string, Readonly<Record<string, Readonly<Record<string, string>>>>>>;
}
export interface CyclonusCase {
  readonly Number: number;
  readonly Description: string;
  readonly Steps: readonly CyclonusStep[];
}

export const cyclonusCases = (): readonly CyclonusCase[] =>
  (
    JSON.parse(gunzipSync(readFileSync(join(import.meta.dirname, '../../fixtures/netpol/cyclonus-subset.json.gz'))).toString()) as {
      cases: CyclonusCase[];
    }
  ).cases;

/** The world of one step, read as a user's experiment.yaml would be. */
export function experimentOf(step: CyclonusStep): Experiment {
  const text = JSON.stringify({
    namespaces: step.Namespaces,
    pods: step.Pods.map(({ Ns, Name, IP, Labels, Ports }) => ({ ns: Ns, name: Name, ip: IP, labels: Labels, ports: Ports })),
    policies: step.Policies,
    probes: { ports: [80, 81], protocols: ['TCP', 'UDP', 'SCTP'] },
    switches: { loopback: 'rules' },
  });
  return readExperiment({
    name: 'cyclonus',
    experiment: { file: 'experiment.yaml', text },
    files: [],
    expand: () => [],
    read: () => ({ fault: 'no' }),
  });
}
