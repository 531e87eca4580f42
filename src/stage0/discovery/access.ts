/** How servers are asked that are no registries: certificates, credentials and permissions of the settings. */
import { join } from 'node:path';
import type { Configuration } from '../../model/configuration.ts';
import type { Settings } from '../../model/settings.ts';
import { configDirectories } from '../../state/config/files.ts';
import { credentialsFor } from '../../state/config/credentials.ts';
import { HttpClient } from '../http/client.ts';
import type { ServerAccess } from './discover.ts';

/** `insecureHttp`, `insecureTls`: as if `--insecure-options` had `http`, `tls`. Dispose `http` when nothing more is asked. */
export function serverAccess(
  settings: Settings,
  config: Pick<Configuration, 'auth' | 'dockerAuth'>,
  options: {
    readonly insecureHttp?: boolean;
    readonly insecureTls?: boolean;
    readonly onWait?: (text: string) => void;
    readonly signal?: AbortSignal | undefined;
  } = {},
): ServerAccess {
  const insecureHttp = options.insecureHttp === true || settings.insecure.has('http');
  const insecureTls = options.insecureTls === true || settings.insecure.has('tls');
  return {
    http: new HttpClient({
      insecure: { http: insecureHttp, tls: insecureTls },
      certificateDirs: configDirectories(settings).map((directory) => join(directory, 'certs.d')),
      signal: options.signal,
      ...(options.onWait === undefined ? {} : { onWait: options.onWait }),
    }),
    credential: (host) => credentialsFor(config, host)[0],
    insecureHttp,
    isAuthentic: !insecureHttp && !insecureTls,
  };
}
