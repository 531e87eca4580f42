/** ACIs by whatever a user writes: paths, addresses, names. What may have to be asked of servers is opened when it is. */
import type { AciName } from '../../model/aci-name.ts';
import { RuntimeError, isCode } from '../../model/errors.ts';
import type { Digest } from '../../model/ids.ts';
import type { StoredImage } from '../../model/oci.ts';
import type { PullPolicy } from '../../model/options.ts';
import { readSignatureFile } from '../discovery/signature.ts';
import { findAci, type FetchDependency } from './dependencies.ts';
import { fetchAci, refuseSigned, sourceKey, type AciRequest, type AciServices, type Signatures } from './fetch.ts';
import { addressOf, fetchAciByName, fetchAciUrl, type AciRemote } from './remote.ts';

/** What a fetch says about ACIs. */
export interface AciPolicy {
  /** absent: no key is trusted */
  readonly signatures?: Signatures | undefined;
  /** how servers are asked; absent: they are not */
  readonly aciRemote?: (() => AciRemote) | undefined;
  /** a file with the signature, instead of the one beside the image (`--signature`) */
  readonly signatureFile?: string | undefined;
  /** the image IDs that the ACI itself may have, which then needs no signature; what it depends on does */
  readonly pinned?: readonly Digest[] | undefined;
}
/** `update`: servers are asked whether what the store has is still what they have. */
type Base = Omit<AciServices, 'signatures' | 'fetchDependency'> & { readonly policy: PullPolicy };

/** The ACIs of one fetch. Dispose it. */
export class AciSources implements Disposable {
  readonly #services: AciServices & Pick<Base, 'policy'>;
  readonly #policy: AciPolicy;
  #remote: AciRemote | undefined;

  constructor(base: Base, policy: AciPolicy) {
    this.#policy = policy;
    this.#services = { ...base, signatures: policy.signatures ?? refuseSigned, fetchDependency: this.#fetchDependency };
  }

  get #asks(): boolean {
    return this.#services.policy === 'update' && this.#policy.aciRemote !== undefined;
  }

  readonly #fetchDependency: FetchDependency = async ({ imageName, labels, size }, chain) => {
    if (this.#policy.aciRemote === undefined) return undefined;
    const wanted = { name: imageName, labels: new Map((labels ?? []).map(({ name, value }) => [name, value])) };
    return fetchAciByName(wanted, { services: this.#services, remote: this.#open(), chain, maxBytes: size ?? undefined });
  };

  #open(): AciRemote {
    const { aciRemote } = this.#policy;
    if (aciRemote === undefined) throw new RuntimeError('ERR_IMAGE_NOT_FOUND', 'no server may be asked');
    return (this.#remote ??= aciRemote());
  }

  get #signature(): (() => Promise<Uint8Array>) | undefined {
    const { signatureFile } = this.#policy;
    return signatureFile === undefined ? undefined : async () => readSignatureFile(signatureFile);
  }

  file(request: Omit<AciRequest, 'chain' | 'signature' | 'pinned'>): Promise<StoredImage> {
    return fetchAci({ ...request, chain: [], signature: this.#signature, pinned: this.#policy.pinned }, this.#services);
  }
  async url(text: string): Promise<StoredImage> {
    const url = addressOf(text);
    const known = this.#asks ? undefined : this.#services.store.findSource(sourceKey(url.href));
    if (known !== undefined) return known;
    const { pinned } = this.#policy;
    return fetchAciUrl(url, { services: this.#services, remote: this.#open(), chain: [], signature: this.#signature, pinned });
  }

  /** From the store, else by discovery. @throws ERR_IMAGE_NOT_FOUND, ERR_DISCOVERY and more */
  async name(wanted: AciName): Promise<StoredImage> {
    const { name, labels } = wanted;
    const pairs = [...labels].map(([key, value]) => ({ name: key, value }));
    const stored = this.#asks ? undefined : findAci(this.#services.store, name, pairs);
    if (stored !== undefined) return stored;
    if (this.#policy.aciRemote === undefined)
      throw new RuntimeError(
        'ERR_IMAGE_NOT_FOUND',
        `there is no ACI ${[name, ...pairs.map((pair) => `${pair.name}=${pair.value}`)].join(',')} in the store`,
        {
          hint: 'rkt fetch puts it there',
        },
      );
    return fetchAciByName(wanted, { services: this.#services, remote: this.#open(), chain: [], signature: this.#signature });
  }

  /** As {@link name}; undefined when nobody knows such a name, and `onFailure` hears why. */
  async nameIfKnown(wanted: AciName, onFailure: (error: RuntimeError) => void): Promise<StoredImage | undefined> {
    try {
      return await this.name(wanted);
    } catch (error) {
      if (!(error instanceof RuntimeError) || !(isCode(error, 'ERR_DISCOVERY') || isCode(error, 'ERR_IMAGE_NOT_FOUND'))) throw error;
      onFailure(error);
      return undefined;
    }
  }

  [Symbol.dispose](): void {
    this.#remote?.access.http[Symbol.dispose]();
  }
}
