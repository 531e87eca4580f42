/** A discovery template and a name → where the image and its signature are. Pure. @see appc 0.8.11 (meta discovery) */
import type { AciName } from '../../model/aci-name.ts';

export interface AciEndpoint {
  readonly aci: string;
  readonly signature: string;
}

const archs: Readonly<Record<string, string>> = { x64: 'amd64', ia32: 'i386', arm64: 'aarch64', arm: 'armv7l', ppc64: 'ppc64le', s390x: 's390x' };

/** The labels a name is looked for with: what it does not say is this machine's system and the latest version. `arch` is Node's word. */
export const completeLabels = ({ labels }: AciName, arch: string): Map<string, string> =>
  new Map([['version', 'latest'], ['os', 'linux'], ['arch', archs[arch] ?? arch], ...labels]);

/** Fills in `{name}`, `{ext}` and every label; undefined when the template asks for something the name does not have. */
export function expandTemplate(template: string, name: string, labels: ReadonlyMap<string, string>): AciEndpoint | undefined {
  const filled = (ext: string): string | undefined => {
    const values = new Map([...labels, ['name', name], ['ext', ext]]);
    let isWhole = true;
    const text = template.replace(/\{([^{}]*)\}/g, (whole, key: string) => {
      const value = values.get(key);
      isWhole &&= value !== undefined;
      // A value is a part of a path or query: it cannot change which server is asked.
      return value === undefined ? whole : value.split('/').map(encodeURIComponent).join('/');
    });
    return isWhole ? text : undefined;
  };
  const [aci, signature] = [filled('aci'), filled('aci.asc')];
  return aci === undefined || signature === undefined ? undefined : { aci, signature };
}
