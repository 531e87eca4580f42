/** `rkt config` and `rkt trust`: the table of contents for what is configured and who is trusted. */
export { configurationDocument } from './state/config/document.ts';
export { loadConfiguration } from './state/config/load.ts';
export { configuredDataDir } from './state/config/paths.ts';
