/** Where this invocation of rkt finds and keeps things; absolute paths. @see rkt.md 1.1 */
export interface Settings {
  readonly dataDir: string;
  readonly systemConfig: string;
  readonly localConfig: string;
}
