/** The image policy of this machine: found, read, and asked. @see containers-policy.json(5) */
import { join } from 'node:path';
import { RuntimeError, printable } from '../../model/errors.ts';
import { decide, readPolicy, type ImagePolicy, type PolicySubject } from '../../model/image-policy.ts';
import type { Settings } from '../../model/settings.ts';
import { configDirectories, parseJson, placed, readRegular } from './files.ts';
import { invalidConfiguration } from './paths.ts';

/** What podman and skopeo go by; it counts when rkt has no file of its own. */
const sharedPolicy = '/etc/containers/policy.json';

export interface FoundPolicy {
  readonly policy: ImagePolicy;
  readonly path: string;
}

/**
 * The first `policy.json` of the user's, the administrator's and the system's directory, then the one shared with podman. It is taken whole:
 * policies are not merged. Undefined when there is none: every image is accepted. @throws ERR_CONFIG_INVALID with every fault
 */
export function loadPolicy(
  settings: Pick<Settings, 'systemConfig' | 'localConfig' | 'userConfig'>,
  shared: string = sharedPolicy,
): FoundPolicy | undefined {
  for (const path of [
    ...configDirectories(settings)
      .toReversed()
      .map((directory) => join(directory, 'policy.json')),
    shared,
  ]) {
    const faults: string[] = [];
    const text = readRegular(path, faults);
    const parsed = text === undefined ? undefined : parseJson(path, text, faults);
    const read = parsed === undefined ? undefined : readPolicy(parsed.value);
    if (text !== undefined && read !== undefined) faults.push(...read.faults.map((fault) => placed(path, text, fault)));
    // One that cannot be read is not passed over: the next could allow what it forbids.
    if (faults.length > 0) throw invalidConfiguration(faults);
    if (read !== undefined) return { policy: read.policy, path };
  }
  return undefined;
}

/** @throws ERR_IMAGE_POLICY when the policy does not accept the image, or asks for something rkt cannot check */
export function requireAccepted(found: FoundPolicy | undefined, subject: PolicySubject): void {
  if (found === undefined) return;
  const decision = decide(found.policy, subject);
  if (decision.accepted) return;
  const what = printable(`${subject.transport}:${subject.transport === 'docker' ? '//' : ''}${subject.place}${subject.ref}`);
  throw new RuntimeError(
    'ERR_IMAGE_POLICY',
    decision.rule === 'reject'
      ? `${what} is rejected by the image policy ${found.path} (${decision.scope})`
      : `the image policy ${found.path} (${decision.scope}) asks for ${decision.rule} of ${what}, which rkt does not check`,
    { hint: `a rule "insecureAcceptAnything" for it in ${found.path} accepts it; a digest in its name pins what it is` },
  );
}

/** Asks the policy of the settings, which is read when the first image is asked about. @throws ERR_CONFIG_INVALID, ERR_IMAGE_POLICY */
export function acceptedBy(settings: Pick<Settings, 'systemConfig' | 'localConfig' | 'userConfig'>): (subject: PolicySubject) => void {
  let read: { readonly found: FoundPolicy | undefined } | undefined;
  return (subject) => {
    read ??= { found: loadPolicy(settings) };
    requireAccepted(read.found, subject);
  };
}
