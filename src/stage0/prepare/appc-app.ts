/** What an ACI's manifest says about its app beyond what every image says. Pure. @see appc 0.8.11 spec/aci.md "app"; rkt.md 2.11 */
import type { AppcApp } from '../../model/appc/app.ts';
import type { AppcFacts, StoredImage } from '../../model/oci.ts';
import type { AppSpec, PodPort } from '../../model/pod.ts';

/** Fields of a pod's app that only ACIs fill; what is left out is not in the manifest. */
export type AppcFields = Pick<AppSpec, 'supplementaryGIDs' | 'eventHandlers' | 'mountPoints' | 'isolators' | 'userAnnotations' | 'userLabels'> & {
  readonly ports: PodPort[];
};

/** Why rkt does not run the image, though it may be what others are put upon; rkt's words. */
export function appcFaults({ appc, os, architecture }: StoredImage): string[] {
  if (appc === undefined) return [];
  return [
    ...(os === '' ? ['missing os label in the image manifest'] : []),
    ...(architecture === '' ? ['missing arch label in the image manifest'] : []),
  ];
}

export function appcFields({ app }: AppcFacts): AppcFields {
  if (app === undefined) return { ports: [] };
  return {
    ports: (app.ports ?? []).flatMap(portsOf),
    ...(app.supplementaryGIDs == null ? {} : { supplementaryGIDs: app.supplementaryGIDs }),
    ...(app.eventHandlers == null ? {} : { eventHandlers: app.eventHandlers }),
    ...(app.mountPoints == null
      ? {}
      : { mountPoints: app.mountPoints.map(({ name, path, readOnly }) => ({ name, path, ...(readOnly === true ? { readOnly } : {}) })) }),
    ...(app.isolators == null ? {} : { isolators: app.isolators.map(({ name, value }) => ({ name, value })) }),
    ...(app.userAnnotations == null ? {} : { userAnnotations: app.userAnnotations }),
    ...(app.userLabels == null ? {} : { userLabels: app.userLabels }),
  };
}

/** A protocol that no network of rkt can publish stays where it is: in the image's manifest. */
function portsOf({ name, protocol, port, count, socketActivated }: NonNullable<AppcApp['ports']>[number]): PodPort[] {
  if (protocol !== 'tcp' && protocol !== 'udp' && protocol !== 'sctp') return [];
  return [
    {
      name,
      protocol,
      port,
      ...(count == null || count <= 1 ? {} : { count }),
      ...(socketActivated === true ? { socketActivated } : {}),
    },
  ];
}
