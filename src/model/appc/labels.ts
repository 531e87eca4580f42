/** Labels of ACIs: which there are, which systems they may speak of, how they are matched. @see appc 0.8.11 spec/aci.md "labels", "Dependency Matching" */
import * as z from 'zod/mini';
import { must, shown } from '../document.ts';
import type { NameValue } from '../pod.ts';
import { acIdentifier, listRule, text, uniqueNames } from './fields.ts';

/** What `os` and `arch` may be together. */
const systems: Readonly<Record<string, readonly string[]>> = {
  linux: ['amd64', 'i386', 'aarch64', 'aarch64_be', 'armv6l', 'armv7l', 'armv7b', 'ppc64', 'ppc64le', 's390x'],
  freebsd: ['amd64', 'i386', 'arm'],
  darwin: ['x86_64', 'i386'],
};

/** appc's names of architectures → those of OCI (Go's). */
const ociArchitectures: Readonly<Record<string, string>> = {
  i386: '386',
  aarch64: 'arm64',
  aarch64_be: 'arm64be',
  armv6l: 'arm',
  armv7l: 'arm',
  armv7b: 'armbe',
  x86_64: 'amd64',
};
export const ociArchitecture = (arch: string): string => ociArchitectures[arch] ?? arch;
/** The reverse: what an ACI for such a machine says. `variant` as in OCI (`v6`). */
export function appcArchitecture(architecture: string, variant: string): string {
  if (architecture === 'arm') return variant === 'v6' ? 'armv6l' : 'armv7l';
  const names: Readonly<Record<string, string>> = { '386': 'i386', arm64: 'aarch64', arm64be: 'aarch64_be', armbe: 'armv7b' };
  return names[architecture] ?? architecture;
}

export const labelOf = (list: readonly NameValue[], name: string): string | undefined => list.find((label) => label.name === name)?.value;

const place = (list: readonly unknown[], wanted: string): { readonly i: number; readonly value: unknown } | undefined => {
  const i = list.findIndex((label) => typeof label === 'object' && label !== null && 'name' in label && label.name === wanted);
  const label = list[i];
  return typeof label === 'object' && label !== null && 'value' in label ? { i, value: label.value } : undefined;
};

export const labels = z
  .array(z.object({ name: acIdentifier, value: text }, { error: must('an object with name and value') }), { error: must('a list of labels') })
  .check(
    uniqueNames('label'),
    listRule((list, report) => {
      const named = place(list, 'name');
      if (named !== undefined) report([named.i, 'name'], 'must not be "name": an image has one name');
      const os = place(list, 'os');
      const arch = place(list, 'arch');
      if (os === undefined || typeof os.value !== 'string') return;
      const architectures = Object.hasOwn(systems, os.value) ? systems[os.value] : undefined;
      if (architectures === undefined)
        report([os.i, 'value'], `is a bad os ${shown(os.value)} (must be one of: ${Object.keys(systems).sort().join(' ')})`);
      else if (arch !== undefined && typeof arch.value === 'string' && !architectures.includes(arch.value))
        report([arch.i, 'value'], `is a bad arch ${shown(arch.value)} for ${os.value} (must be one of: ${architectures.join(' ')})`);
    }),
  );

/**
 * Why an image with the labels `has` is not the one that was asked for; undefined when it is. A label that is not asked
 * for may be anything. rkt's texts (rkt.md 2.16).
 */
export function labelFault(wanted: readonly NameValue[], has: readonly NameValue[]): string | undefined {
  for (const { name, value } of wanted) {
    const own = labelOf(has, name);
    if (own === undefined) return `requested label ${JSON.stringify(name)} not provided by the image manifest`;
    if (own !== value)
      return `requested value for label ${JSON.stringify(name)}: ${JSON.stringify(value)} differs from fetched aci label value: ${JSON.stringify(own)}`;
  }
  return undefined;
}
