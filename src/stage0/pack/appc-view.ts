/**
 * An OCI or Docker image as an appc manifest, as docker2aci makes one (names, ports, mount points, annotations), and back.
 * What appc has no word for travels in an annotation of rkt's own, so that nothing is lost on a round trip. Pure.
 * @see appc 0.8.11 spec/aci.md; rkt.md 4.1 row 1 (`80-tcp`); docker2aci's README "Conversion"
 */
import { isDeepStrictEqual } from 'node:util';
import type { AppcApp } from '../../model/appc/app.ts';
import type { AppcImage } from '../../model/appc/image.ts';
import { appcArchitecture } from '../../model/appc/labels.ts';
import { acIdentifierOf, mountPointsOf } from '../../model/appc/docker-names.ts';
import { isCode } from '../../model/errors.ts';
import { checkConfig } from '../../model/oci-schema.ts';
import type { ImageConfig, StoredImage } from '../../model/oci.ts';
import type { NameValue } from '../../model/pod.ts';

/** Holds an OCI configuration without its list of layers, as JSON. */
export const configAnnotation = 'rkt.io/oci-config';

/** An OCI configuration file, of which rkt reads only a part and keeps everything. */
export type OciConfig = Readonly<Record<string, unknown>>;

export interface AppcViewRequest {
  readonly image: StoredImage;
  /** its configuration file */
  readonly config: OciConfig;
  /** of its configuration file, which is what docker2aci calls the image's id */
  readonly configDigest: string;
  /** the configuration goes along, for who wants the image back as it was */
  readonly keepConfig: boolean;
}

export function appcView({ image, config, configDigest, keepConfig }: AppcViewRequest): AppcImage {
  const { repository, registry, tag } = splitName(image.name);
  const settings = image.config;
  const text = (value: unknown): string => (typeof value === 'string' ? value : '');
  return {
    acKind: 'ImageManifest',
    acVersion: '0.8.11',
    name: acIdentifierOf(registry === '' ? repository : `${registry}/${repository}`),
    labels: present([
      ['version', tag],
      ['os', image.os],
      ['arch', appcArchitecture(image.architecture, text(config['variant']))],
    ]),
    app: appOf(settings),
    annotations: present([
      ['author', text(config['author'])],
      ['created', text(config['created'])],
      ['appc.io/docker/originalname', image.name],
      ['appc.io/docker/registryurl', registry],
      ['appc.io/docker/repository', repository],
      ['appc.io/docker/imageid', configDigest],
      ['appc.io/docker/manifesthash', image.id],
      ['appc.io/docker/entrypoint', settings.entrypoint.length === 0 ? '' : JSON.stringify(settings.entrypoint)],
      ['appc.io/docker/cmd', settings.cmd.length === 0 ? '' : JSON.stringify(settings.cmd)],
      [configAnnotation, keepConfig ? JSON.stringify(withoutLayers(config)) : ''],
    ]),
  };
}

function appOf(settings: ImageConfig): AppcApp {
  const exec = [...settings.entrypoint, ...settings.cmd];
  return {
    ...unlessEmpty('exec', exec),
    ...userAndGroup(settings.user),
    ...(settings.workingDir === '' ? {} : { workingDirectory: settings.workingDir }),
    ...unlessEmpty('environment', environmentOf(settings.env)),
    ...unlessEmpty('mountPoints', mountPointsOf(settings.volumes)),
    ...unlessEmpty('ports', portsOf(settings.exposedPorts)),
    ...(Object.keys(settings.labels).length === 0 ? {} : { userLabels: { ...settings.labels } }),
  };
}

const unlessEmpty = <K extends string, T>(key: K, list: T[]): Partial<Record<K, T[]>> =>
  (list.length === 0 ? {} : { [key]: list }) as Partial<Record<K, T[]>>;

const present = (pairs: readonly (readonly [string, string])[]): NameValue[] =>
  pairs.flatMap(([name, value]) => (value === '' ? [] : [{ name, value }]));

/** `ghcr.io/org/web:1` → its parts; without a domain it is Docker's registry that is meant. A path or transport is called by its last part. */
function splitName(name: string): { registry: string; repository: string; tag: string } {
  const plain = name.replace(/^docker:(\/\/)?/, '').replace(/@sha\d+[:-][0-9a-f]+$/, '');
  if (/^(oci|oci-archive|docker-archive|dir|file|https?):|^[./]/.test(plain)) {
    const path = plain.replace(/^[a-z-]+:/, '').replace(/\/+$/, '');
    const [last = '', tag = ''] = (path.split('/').at(-1) ?? '').split(':');
    return { registry: '', repository: last.replace(/\.(tar|tgz|oci|aci)(\.\w+)?$/, ''), tag };
  }
  const slash = plain.indexOf('/');
  const first = plain.slice(0, Math.max(0, slash));
  const isDomain = /[.:]/.test(first) || first === 'localhost';
  const registry = isDomain ? first : 'registry-1.docker.io';
  const rest = isDomain ? plain.slice(slash + 1) : plain;
  const colon = rest.lastIndexOf(':');
  const tagged = colon > rest.lastIndexOf('/');
  const repository = tagged ? rest.slice(0, colon) : rest;
  return {
    registry,
    repository: isDomain || repository.includes('/') ? repository : `library/${repository}`,
    tag: tagged ? rest.slice(colon + 1) : 'latest',
  };
}

/** docker2aci's rule: nobody is root, and a user alone is its own group. */
function userAndGroup(user: string): { user: string; group: string } {
  const [name = '', group = ''] = user.split(':');
  const own = name === '' ? '0' : name;
  return { user: own, group: group === '' ? own : group };
}

/** appc knows no name twice, and no name that a shell could not set. */
function environmentOf(env: readonly string[]): NameValue[] {
  const values = new Map<string, string>();
  for (const entry of env) {
    const [whole = '', name = '', value = ''] = /^([A-Za-z_][A-Za-z0-9_]*)=([^]*)$/.exec(entry) ?? [];
    if (whole !== '') values.set(name, value);
  }
  return [...values].map(([name, value]) => ({ name, value }));
}

/** `80/tcp` → `80-tcp`. */
function portsOf(exposed: readonly string[]): { name: string; protocol: string; port: number }[] {
  const ports = exposed.flatMap((text) => {
    const [, port = '', protocol = 'tcp'] = /^(\d+)(?:\/(\w+))?$/.exec(text) ?? [];
    const number = Number(port);
    return port === '' || number < 1 || number > 65_535 ? [] : [{ name: `${number}-${protocol}`, protocol, port: number }];
  });
  return byName([...new Map(ports.map((port) => [port.name, port])).values()]);
}

const byName = <T extends { readonly name: string }>(list: T[]): T[] => list.sort((a, b) => (a.name < b.name ? -1 : 1));

/** A configuration that does not speak of layers. */
export function withoutLayers(config: OciConfig): OciConfig {
  const { rootfs, history, ...rest } = config;
  void rootfs;
  void history;
  return rest;
}

/** The OCI configuration of an ACI: the one it was made from if it says so, else what its app comes to. Layers are left to the caller. */
export function ociConfigOf(manifest: AppcImage, image: Pick<StoredImage, 'os' | 'architecture' | 'config'>): OciConfig {
  const annotations = new Map((manifest.annotations ?? []).map(({ name, value }) => [name, value]));
  const kept = objectIn(annotations.get(configAnnotation));
  if (kept !== undefined && saysTheSame(kept, manifest)) return kept;
  const entrypoint = textsIn(annotations.get('appc.io/docker/entrypoint'));
  const cmd = textsIn(annotations.get('appc.io/docker/cmd'));
  const exec = manifest.app?.exec ?? [];
  // Only as long as they are still what the app says.
  const isSplit = JSON.stringify([...(entrypoint ?? []), ...(cmd ?? [])]) === JSON.stringify(exec);
  const { config } = image;
  const created = annotations.get('created');
  const author = annotations.get('authors') ?? annotations.get('author');
  const setOf = (names: readonly string[]): object => Object.fromEntries(names.map((name) => [name, {}]));
  return {
    ...(created === undefined ? {} : { created }),
    ...(author === undefined ? {} : { author }),
    os: image.os === '' ? 'linux' : image.os,
    architecture: image.architecture === '' ? 'amd64' : image.architecture,
    config: {
      ...(config.user === '' ? {} : { User: config.user }),
      ...(config.env.length === 0 ? {} : { Env: config.env }),
      ...(isSplit
        ? { ...(entrypoint === undefined ? {} : { Entrypoint: entrypoint }), ...(cmd === undefined ? {} : { Cmd: cmd }) }
        : { Entrypoint: exec }),
      ...(config.workingDir === '' ? {} : { WorkingDir: config.workingDir }),
      ...(config.exposedPorts.length === 0 ? {} : { ExposedPorts: setOf(config.exposedPorts) }),
      ...(config.volumes.length === 0 ? {} : { Volumes: setOf(config.volumes) }),
      ...(manifest.app?.userLabels == null ? {} : { Labels: manifest.app.userLabels }),
    },
  };
}

/** Whoever changed the app since, or made up the annotation, is to be asked what the image is, and not the annotation. */
function saysTheSame(config: OciConfig, { app }: AppcImage): boolean {
  try {
    const { config: settings } = checkConfig(Buffer.from(JSON.stringify({ ...config, rootfs: { type: 'layers', diff_ids: [] } })), configAnnotation);
    return isDeepStrictEqual(appOf(settings), app);
  } catch (error) {
    if (isCode(error, 'ERR_IMAGE_INVALID')) return false;
    throw error;
  }
}

function parsed(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
const objectIn = (text: string | undefined): OciConfig | undefined => {
  const value = parsed(text);
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as OciConfig) : undefined;
};
const textsIn = (text: string | undefined): string[] | undefined => {
  const value = parsed(text);
  return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : undefined;
};
