/** OCI image values (image-spec 1.1), only the fields rkt reads; unknown ones are kept where a file is stored. */
import type { AppcApp } from './appc/app.ts';
import type { Digest } from './ids.ts';
import type { NameValue } from './pod.ts';

export interface ImageConfig {
  readonly entrypoint: readonly string[];
  readonly cmd: readonly string[];
  /** `K=V` */
  readonly env: readonly string[];
  readonly user: string;
  readonly workingDir: string;
  /** `80/tcp` */
  readonly exposedPorts: readonly string[];
  readonly volumes: readonly string[];
  readonly stopSignal: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** What an ACI says beyond that. */
export interface AppcFacts {
  /** of the image's manifest: a blob of the store, byte by byte as it came in the archive */
  readonly manifest: Digest;
  readonly name: string;
  readonly labels: readonly NameValue[];
  /** undefined: an image that others depend on, and that nobody runs without saying how */
  readonly app: AppcApp | undefined;
  /** layers that an image depending on this one is put upon, bottom first: those of {@link StoredImage} without the one that corrects directories */
  readonly rootfs: readonly Digest[];
  /** of the archive as it was fetched, compressed or not */
  readonly archiveBytes: number;
  /** of the uncompressed archive */
  readonly tarBytes: number;
}

/** An image in the store, ready to be run. */
export interface StoredImage {
  /** digest of its manifest: the image's id; of an ACI that of the uncompressed archive */
  readonly id: Digest;
  /** what the user wrote, or the name it was stored under */
  readonly name: string;
  readonly config: ImageConfig;
  /** diff IDs, bottom first */
  readonly layers: readonly Digest[];
  /** empty: an ACI that does not say */
  readonly os: string;
  readonly architecture: string;
  /** a reference by which it can be fetched again, from anywhere; for the reader, and for repairs */
  readonly origin?: string;
  /** when it came into the store */
  readonly importedMs?: number;
  /** of ACIs */
  readonly appc?: AppcFacts;
}
