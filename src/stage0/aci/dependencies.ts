/**
 * The images an ACI is put upon: looked for in the store, then fetched, until all of them are there.
 * @see appc 0.8.11 spec/aci.md "Dependency Matching", spec/ace.md "Filesystem Setup"
 */
import type { AppcDependency, AppcImage } from '../../model/appc/image.ts';
import { labelFault } from '../../model/appc/labels.ts';
import { RuntimeError, isRuntimeError } from '../../model/errors.ts';
import type { Digest } from '../../model/ids.ts';
import type { AppcFacts, StoredImage } from '../../model/oci.ts';
import type { NameValue } from '../../model/pod.ts';
import type { ImageStore } from '../../state/images/store.ts';

/** An image of the store that is an ACI. */
export type StoredAci = StoredImage & { readonly appc: AppcFacts };
const isAci = (image: StoredImage): image is StoredAci => image.appc !== undefined;

/** An image whose dependencies are being looked for. */
export interface Dependent {
  readonly name: string;
  readonly labels: readonly NameValue[];
}

/** How a dependency that the store does not have is fetched; undefined: nobody offers it. `chain`: who needs it, outermost first. */
export type FetchDependency = (dependency: AppcDependency, chain: readonly Dependent[]) => Promise<StoredImage | undefined>;

/** Images that need images that need images: more is a mistake or an attack. */
const maxDepth = 16;

const shownLabels = (labels: readonly NameValue[]): string => labels.map(({ name, value }) => `,${name}=${value}`).join('');
/** A dependency as one would write it on a command line. */
export const shownDependency = ({ imageName, labels }: AppcDependency): string => `${imageName}${shownLabels(labels ?? [])}`;

/** The ACI called `name` that has `labels`; of several the one that came last. */
export function findAci(store: ImageStore, name: string, labels: readonly NameValue[]): StoredAci | undefined {
  let best: StoredAci | undefined;
  for (const image of store.list()) {
    if (!isAci(image) || image.appc.name !== name || labelFault(labels, image.appc.labels) !== undefined) continue;
    if (best === undefined || (image.importedMs ?? 0) >= (best.importedMs ?? 0)) best = image;
  }
  return best === undefined || store.image(best.id) === undefined ? undefined : best;
}

/** Why `image` is not what `dependency` asks for. An image ID decides alone. */
export function dependencyFault({ imageName, imageID, labels, size }: AppcDependency, image: StoredImage): string | undefined {
  if (!isAci(image)) return 'is no ACI';
  const { appc, id } = image;
  if (appc.name !== imageName) return `is called ${appc.name}`;
  if (imageID != null) return id.replace(':', '-') === imageID ? undefined : `has the image ID ${id.replace(':', '-')}, not ${imageID}`;
  const wrong = labelFault(labels ?? [], appc.labels);
  if (wrong !== undefined) return `does not match: ${wrong}`;
  return size == null || size === appc.archiveBytes || size === appc.tarBytes
    ? undefined
    : `has ${appc.archiveBytes} bytes (${appc.tarBytes} uncompressed), not ${size}`;
}

/** Throws when `dependency` would be one of those that need it. */
function refuseCycle({ imageName, imageID, labels }: AppcDependency, chain: readonly Dependent[]): void {
  if (imageID != null) return;
  const at = chain.findIndex((dependent) => dependent.name === imageName && labelFault(labels ?? [], dependent.labels) === undefined);
  if (at < 0) return;
  const circle = [...chain.slice(at).map(({ name }) => name), imageName];
  throw new RuntimeError('ERR_IMAGE_INVALID', `the dependencies of ${chain[0]?.name ?? imageName} lead in a circle: ${circle.join(' needs ')}`);
}

/** The image that `dependency` means. @throws ERR_IMAGE_NOT_FOUND, ERR_IMAGE_INVALID */
async function resolve(store: ImageStore, dependency: AppcDependency, chain: readonly Dependent[], fetch: FetchDependency): Promise<StoredAci> {
  refuseCycle(dependency, chain);
  if (chain.length > maxDepth)
    throw new RuntimeError('ERR_IMAGE_INVALID', `the dependencies of ${chain[0]?.name ?? ''} are more than ${maxDepth} images deep`);
  const { imageID, imageName, labels } = dependency;
  const stored = imageID == null ? findAci(store, imageName, labels ?? []) : store.image(imageID.replace('-', ':') as Digest);
  const found = stored ?? (await fetch(dependency, chain));
  const needing = chain.at(-1)?.name ?? '';
  if (found === undefined) {
    const wanted = shownDependency(dependency);
    throw new RuntimeError(
      'ERR_IMAGE_NOT_FOUND',
      `${needing} needs ${wanted}${imageID == null ? '' : ` with the image ID ${imageID}`}, which is not in the store`,
      {
        hint: `fetch it first: rkt fetch ${wanted}, or the path of its ACI`,
      },
    );
  }
  const fault = dependencyFault(dependency, found);
  if (fault !== undefined || !isAci(found))
    throw new RuntimeError('ERR_IMAGE_INVALID', `${needing} needs ${shownDependency(dependency)}, and what there is ${fault ?? 'is no ACI'}`);
  return found;
}

/**
 * The layers of everything `manifest` depends on, bottom first, as appc overrides them: dependencies in their order, each
 * upon its own. All that is missing is told at once. @throws ERR_IMAGE_NOT_FOUND, ERR_IMAGE_INVALID, and what fetching throws
 */
export async function dependencyLayers(
  store: ImageStore,
  manifest: AppcImage,
  chain: readonly Dependent[],
  fetch: FetchDependency,
): Promise<readonly Digest[]> {
  const layers: Digest[] = [];
  const faults: RuntimeError[] = [];
  for (const dependency of manifest.dependencies ?? []) {
    try {
      layers.push(...(await resolve(store, dependency, [...chain, dependentOf(manifest)], fetch)).appc.rootfs);
    } catch (error) {
      if (!isRuntimeError(error)) throw error;
      faults.push(aboutDependency(manifest.name, dependency, error));
    }
  }
  const [first, ...others] = faults;
  if (first === undefined) return layers;
  if (others.length === 0) throw first;
  const hint = faults.find((fault) => fault.hint !== undefined)?.hint;
  throw new RuntimeError(first.code, `${faults.length} dependencies of ${manifest.name} are not to be had`, {
    cause: first,
    details: faults.map(({ message }) => message),
    ...(hint === undefined ? {} : { hint }),
  });
}

/** What a server said, or what is wrong with an image, is about somebody's dependency. */
function aboutDependency(needing: string, dependency: AppcDependency, error: RuntimeError): RuntimeError {
  const about = `${needing} needs ${shownDependency(dependency)}`;
  if (error.message.startsWith(about) || error.message.startsWith('the dependencies of ')) return error;
  const { code, details, hint, exitCode } = error;
  return new RuntimeError(code, `${about}: ${error.message}`, { cause: error, details, exitCode, ...(hint === undefined ? {} : { hint }) });
}

export const dependentOf = ({ name, labels }: AppcImage): Dependent => ({ name, labels: labels ?? [] });
