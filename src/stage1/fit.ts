/** What of a pod a flavor cannot do, by its capabilities alone; so that nobody asks which flavor it is. Pure. */
import { RuntimeError } from '../model/errors.ts';
import type { PodManifest } from '../model/pod.ts';
import type { Stage1 } from './contract.ts';

export interface Fit {
  /** `--net` for a pod of this flavor. @throws ERR_STAGE1_LACKS when it asks for what the flavor does not have */
  networks(net: readonly string[], ports: readonly string[]): readonly string[];
  /** @returns warnings. @throws ERR_STAGE1_LACKS */
  check(manifest: PodManifest): readonly string[];
}

export function fitOf({ name, capabilities }: Pick<Stage1, 'name' | 'capabilities'>): Fit {
  const lacks = (faults: readonly string[], hint: string): RuntimeError =>
    new RuntimeError('ERR_STAGE1_LACKS', faults.length === 1 ? (faults[0] ?? '') : `${faults.length} things flavor ${name} cannot do`, {
      details: faults.length === 1 ? [] : faults,
      hint,
    });
  return {
    networks(net, ports) {
      if (capabilities.contained) return net;
      // rkt differs: its fly takes every --net and forgets it.
      const faults = [
        ...net.filter((word) => word !== 'host').map((word) => `flavor ${name} has the host's network only, not --net=${word}`),
        ...(ports.length === 0 ? [] : [`flavor ${name} publishes no ports: its app listens on the host itself`]),
      ];
      if (faults.length > 0) throw lacks(faults, `leave --net and --port out, or choose another stage1`);
      return ['host'];
    },
    check(manifest) {
      const { apps } = manifest;
      const { maxApps } = capabilities;
      if (apps.length > maxApps)
        throw lacks([`flavor ${name} runs ${maxApps} app${maxApps === 1 ? '' : 's'} a pod, not ${apps.length}`], 'choose another stage1');
      if (capabilities.isolators) return [];
      return apps.flatMap((app) =>
        (app.app.isolators ?? []).map((isolator) => `app ${app.name}: isolator ${isolator.name} is ignored by flavor ${name}`),
      );
    },
  };
}
