import type { InsecureOption } from './insecure.ts';

/** Where this invocation of rkt finds and keeps things, and what it does not insist on; absolute paths. @see rkt.md 1.1 */
export interface Settings {
  readonly dataDir: string;
  readonly systemConfig: string;
  readonly localConfig: string;
  /** read last, so it wins; undefined: none */
  readonly userConfig: string | undefined;
  /** checks that are left out */
  readonly insecure: ReadonlySet<InsecureOption>;
  /** keys that discovery finds are trusted without being looked at */
  readonly trustKeysFromHttps: boolean;
}
