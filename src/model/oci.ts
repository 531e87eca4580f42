/** OCI image values (image-spec 1.1), only the fields rkt reads; unknown ones are kept where a file is stored. */
import type { Digest } from './ids.ts';

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

/** An image in the store, ready to be run. */
export interface StoredImage {
  /** digest of its manifest: the image's id */
  readonly id: Digest;
  /** what the user wrote, or the name it was stored under */
  readonly name: string;
  readonly config: ImageConfig;
  /** diff IDs, bottom first */
  readonly layers: readonly Digest[];
  readonly os: string;
  readonly architecture: string;
  /** a reference by which it can be fetched again, from anywhere; for the reader, and for repairs */
  readonly origin?: string;
  /** when it came into the store */
  readonly importedMs?: number;
}
