/** What an ACI's manifest says, as the rest of rkt knows it from OCI images. Pure. @see appc 0.8.11 spec/aci.md "app" */
import type { AppcImage } from '../../model/appc/image.ts';
import { labelOf, ociArchitecture } from '../../model/appc/labels.ts';
import { RuntimeError } from '../../model/errors.ts';
import type { ImageConfig } from '../../model/oci.ts';
import type { WantedPlatform } from '../fetch/platform.ts';

/** The equivalent configuration. Arguments on the command line are added to `exec`, not put in the place of its last part (rkt 1.3). */
export function configOf({ app, annotations }: AppcImage): ImageConfig {
  return {
    entrypoint: app?.exec ?? [],
    cmd: [],
    env: (app?.environment ?? []).map(({ name, value }) => `${name}=${value}`),
    user: app == null ? '' : `${app.user}:${app.group}`,
    workingDir: app?.workingDirectory ?? '',
    exposedPorts: (app?.ports ?? []).flatMap(({ port, count, protocol }) =>
      Array.from({ length: Math.max(1, count ?? 1) }, (_, i) => `${port + i}/${protocol}`),
    ),
    volumes: (app?.mountPoints ?? []).map(({ path }) => path),
    stopSignal: '',
    labels: Object.fromEntries((annotations ?? []).map(({ name, value }) => [name, value])),
  };
}

export interface AciPlatform {
  readonly os: string;
  readonly architecture: string;
}

/** What it runs on, in OCI's words; empty: it does not say, so anything. */
export function platformOfAci({ labels }: AppcImage): AciPlatform {
  return { os: labelOf(labels ?? [], 'os') ?? '', architecture: ociArchitecture(labelOf(labels ?? [], 'arch') ?? '') };
}

/** @throws ERR_IMAGE_PLATFORM for an image of another system or machine */
export function checkAciPlatform(manifest: AppcImage, wanted: WantedPlatform, what: string): void {
  const { os, architecture } = platformOfAci(manifest);
  if ((os === '' || os === wanted.os) && (architecture === '' || os === '' || architecture === wanted.architecture)) return;
  throw new RuntimeError(
    'ERR_IMAGE_PLATFORM',
    `${what} is for ${[os, architecture].filter((part) => part !== '').join('/')}, this machine is ${wanted.os}/${wanted.architecture}`,
    {
      hint: `ask for another build of ${manifest.name}: its labels os and arch say what it is for`,
    },
  );
}
