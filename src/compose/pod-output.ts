/** `rkt export`: an app of an exited pod, with all it has changed, as an image. @see rkt.md 1.4 */
import { RuntimeError } from '../model/errors.ts';
import type { AppcImage } from '../model/appc/image.ts';
import type { StoredImage } from '../model/oci.ts';
import { appcView } from '../stage0/pack/appc-view.ts';
import { writeOutputFile } from '../stage0/pack/output.ts';
import { openStore } from '../state/images/store.ts';
import { appToEnter, podInfo } from '../state/pod/info.ts';
import { findPod } from '../state/pod/lifecycle.ts';
import { imageOfApp, withExitedRoot } from './app-root.ts';
import { wholeManifest, writeTreeAsAci } from './image-output.ts';

export interface ExportOptions {
  readonly app: string | undefined;
  readonly overwrite: boolean;
}

/** Writes the ACI `out`. @throws ERR_CLI_USAGE, ERR_POD_STATE, ERR_APP_NOT_FOUND, ERR_IMAGE_OUTPUT */
export function exportPodImage(dataDir: string, uuid: string, out: string, { app, overwrite }: ExportOptions): void {
  if (!out.endsWith('.aci')) throw new RuntimeError('ERR_CLI_USAGE', `output file must have the extension .aci, not ${JSON.stringify(out)}`);
  const pod = podInfo(findPod(dataDir, uuid));
  const name = appToEnter(pod, app);
  if (pod.state !== 'exited' && pod.state !== 'exited garbage')
    throw new RuntimeError('ERR_POD_STATE', `pod ${pod.id} is ${pod.state}: only an exited pod can be exported`, { hint: 'rkt stop ends it' });
  const manifest = manifestOf(dataDir, imageOfApp(pod, name));
  withExitedRoot(dataDir, pod, name, (root) => writeOutputFile(out, overwrite, (fd) => writeTreeAsAci(manifest, root, fd)));
}

/** The image itself may have been removed from the store since: then what the pod knows of it. */
function manifestOf(dataDir: string, image: StoredImage): AppcImage {
  if (openStore(dataDir).image(image.id) !== undefined) return wholeManifest(dataDir, image);
  const { os, architecture, appc } = image;
  const view = appcView({ image, config: { os, architecture }, configDigest: image.id, keepConfig: false });
  return appc === undefined ? view : { ...view, name: appc.name, labels: [...appc.labels], ...(appc.app === undefined ? {} : { app: appc.app }) };
}
