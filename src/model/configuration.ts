/** What the configuration directories say, merged. @see rkt.md 2.15 */
import type { Credential } from './credentials.ts';
import type { ImageLimits } from './image-limits.ts';
import type { RegistriesConf } from './registries.ts';

/** Directories, absolute. `paths` kind. */
export interface PathsConf {
  readonly data: string | undefined;
  readonly stage1Images: string | undefined;
}

/** Which stage1 runs pods. `name` and `version` come together. `stage1` kind. */
export interface Stage1Conf {
  readonly name: string | undefined;
  readonly version: string | undefined;
  readonly location: string | undefined;
}

export interface Configuration {
  /** host[:port] → what opens it; `auth` kind */
  readonly auth: ReadonlyMap<string, Credential>;
  /** registry → what opens it; `dockerAuth` kind */
  readonly dockerAuth: ReadonlyMap<string, Credential & { readonly kind: 'basic' }>;
  readonly paths: PathsConf;
  readonly stage1: Stage1Conf;
  /** rkt's own kind `registries` */
  readonly registries: RegistriesConf;
  /** rkt's own kind `imageLimits`, what is not said by default */
  readonly limits: ImageLimits;
}
