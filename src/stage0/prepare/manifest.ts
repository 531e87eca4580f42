/**
 * Images and flags → pod manifest. Pure.
 * @see rkt.md 1.2 (app flags), 1.3, 2.5, 2.9; appc 0.8.11 pod schema
 */
import { mountPointsOf } from '../../model/appc/docker-names.ts';
import { RuntimeError } from '../../model/errors.ts';
import { isAppName } from '../../model/ids.ts';
import type { StoredImage } from '../../model/oci.ts';
import { appcFaults, appcFields } from './appc-app.ts';
import type { AppSpec, NameValue, PodApp, PodManifest, PodPort } from '../../model/pod.ts';

/** One app as the command line asks for it. */
export interface AppRequest {
  readonly image: StoredImage;
  readonly args: readonly string[];
  readonly name?: string | undefined;
  /** replaces the image's entrypoint; the image's arguments are dropped */
  readonly exec?: string | undefined;
  readonly user?: string | undefined;
  readonly group?: string | undefined;
  readonly workingDir?: string | undefined;
  /** `K=V`, on top of the image's */
  readonly environment: readonly string[];
  readonly readonlyRootfs?: boolean;
}

/** Apps with their images, which were asked for in the same order. */
export const withImages = <A extends object>(apps: readonly A[], images: readonly StoredImage[]): (A & { readonly image: StoredImage })[] =>
  apps.flatMap((app, i) => (images[i] === undefined ? [] : [{ ...app, image: images[i] }]));

/** Ports by app, as the images declare them. */
export const declaredPorts = ({ apps }: PodManifest): { app: string; ports: readonly PodPort[] }[] =>
  apps.map(({ name, app }) => ({ app: name, ports: app.ports ?? [] }));

/** Makes the pod's manifest. @throws ERR_POD_MANIFEST listing every fault of every app */
export function podManifest(requests: readonly AppRequest[]): PodManifest {
  const faults: string[] = [];
  if (requests.length === 0) faults.push('pod must contain at least one application');
  const apps = requests.map((request) => podApp(request, faults));
  const seen = new Set<string>();
  for (const { name } of apps) {
    if (seen.has(name)) faults.push(`two apps are named "${name}": give one of them another --name`);
    seen.add(name);
  }
  if (faults.length > 0)
    throw new RuntimeError('ERR_POD_MANIFEST', faults.length === 1 ? (faults[0] ?? '') : `${faults.length} faults in the pod`, {
      details: faults.length === 1 ? [] : faults,
    });
  return { acVersion: '0.8.11', acKind: 'PodManifest', apps };
}

function podApp(request: AppRequest, faults: string[]): PodApp {
  const { image } = request;
  const { appc } = image;
  const name = request.name ?? defaultAppName(appc?.name ?? image.name);
  for (const fault of appcFaults(image)) faults.push(`app ${name}: ${fault}`);
  if (!isAppName(name)) faults.push(`app name "${name}": only lower-case letters, digits and single dashes between them`);
  const { config } = image;
  const exec =
    request.exec === undefined ? [...config.entrypoint, ...(request.args.length > 0 ? request.args : config.cmd)] : [request.exec, ...request.args];
  if (exec.length === 0) faults.push(`app ${name}: the image names no program to run: use --exec`);
  // An ACI may say whose by a path, and paths may have colons.
  const [user = '', group = ''] = appc?.app === undefined ? splitUser(config.user) : [appc.app.user, appc.app.group];
  return {
    name,
    image: appc === undefined ? { name: image.name, id: image.id } : { name: appc.name, id: image.id.replace(':', '-'), labels: [...appc.labels] },
    app: {
      exec,
      user: request.user ?? (user === '' ? '0' : user),
      group: request.group ?? group,
      ...((request.workingDir ?? config.workingDir) === '' ? {} : { workingDirectory: request.workingDir ?? config.workingDir }),
      environment: mergeEnvironment(name, [...config.env, ...request.environment], faults),
      ...(appc === undefined ? { ports: config.exposedPorts.flatMap(imagePort), ...mountPointFields(config.volumes) } : appcFields(appc)),
    },
    ...(request.readonlyRootfs === true ? { readOnlyRootFS: true } : {}),
  };
}

/** Docker's and OCI's VOLUMEs are mount points, named as docker2aci names them. */
const mountPointFields = (volumes: readonly string[]): Pick<AppSpec, 'mountPoints'> =>
  volumes.length === 0 ? {} : { mountPoints: mountPointsOf(volumes) };

const splitUser = (text: string): string[] => text.split(':');

/** rkt's rule: the image name's last path element, without tag, made an AC Name. */
export function defaultAppName(imageName: string): string {
  const path = imageName.replace(/^(oci|oci-archive|docker|docker-archive|dir):/, '');
  const last = path.replace(/\/+$/, '').split('/').at(-1) ?? '';
  const name = last.replace(/[:@].*$/, '').replace(/\.(tar|aci)(\.\w+)?$/, '');
  return (
    name
      .toLowerCase()
      .replace(/[^a-z0-9]+/g, '-')
      .replace(/^-+|-+$/g, '') || 'app'
  );
}

/** Docker's and OCI's `80/tcp` as an appc port named `80-tcp`. */
function imagePort(text: string): PodPort[] {
  const match = /^(\d+)(?:\/(tcp|udp|sctp))?$/.exec(text);
  if (match === null) return [];
  const protocol = (match[2] ?? 'tcp') as PodPort['protocol'];
  return [{ name: `${match[1] ?? ''}-${protocol}`, protocol, port: Number(match[1]) }];
}

/** Later entries win; order of first appearance. */
function mergeEnvironment(app: string, entries: readonly string[], faults: string[]): NameValue[] {
  const merged = new Map<string, string>();
  for (const entry of entries) {
    const equals = entry.indexOf('=');
    if (equals <= 0) {
      faults.push(`app ${app}: environment ${JSON.stringify(entry)} is not NAME=VALUE`);
      continue;
    }
    merged.set(entry.slice(0, equals), entry.slice(equals + 1));
  }
  return [...merged].map(([name, value]) => ({ name, value }));
}
