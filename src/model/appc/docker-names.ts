/** What Docker's names are in appc, as docker2aci has them. Pure, and light: every run needs it. @see docker2aci's README "Conversion" */

/** What docker2aci's SanitizeACIdentifier does: everything that may not stand in one becomes a dash. */
export function acIdentifierOf(text: string): string {
  const cleaned = text
    .toLowerCase()
    .replace(/[^a-z0-9._~/-]+/g, '-')
    .replace(/([-._~/])[-._~/]+/g, '$1')
    .replace(/^[-._~/]+|[-._~/]+$/g, '');
  return cleaned === '' ? 'image' : cleaned;
}
const acNameOf = (text: string): string => acIdentifierOf(text).replace(/[._~/-]+/g, '-');

/** `/var/lib/x` → `volume-var-lib-x`; of equal ones the next is numbered. */
export function mountPointsOf(volumes: readonly string[]): { name: string; path: string }[] {
  const seen = new Map<string, number>();
  return volumes
    .filter((path) => path.startsWith('/') && !path.split('/').includes('..'))
    .map((path) => {
      const name = acNameOf(`volume/${path}`);
      const count = seen.get(name) ?? 0;
      seen.set(name, count + 1);
      return { name: count === 0 ? name : `${name}-${count}`, path };
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
