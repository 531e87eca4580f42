/** What a fetch from registries may use, as values: the composition root reads configuration and flags. */
import type { Credential } from '../../model/credentials.ts';
import type { RegistriesConf } from '../../model/registries.ts';
import type { HttpSettings, Insecure } from '../http/client.ts';

export interface RegistryAccess {
  readonly registries: RegistriesConf;
  /** best first; may run credential helpers, so it is asked when a registry wants a credential */
  credentials(registry: string, repository: string): readonly Credential[];
  readonly insecure: Insecure;
  /** besides the system's: directories of per-registry certificates */
  readonly certificateDirs: readonly string[];
  /** patience other than usual */
  readonly patience?: Pick<HttpSettings, 'retry' | 'silenceMs'>;
}
