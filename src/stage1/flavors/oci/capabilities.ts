/** Capability sets of an app. Pure. @see rkt.md 2.11 */
import { RuntimeError } from '../../../model/errors.ts';
import type { AppSpec } from '../../../model/pod.ts';

/** rkt's default bounding set. */
const defaultCapabilities: readonly string[] = [
  'CAP_AUDIT_WRITE',
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_MKNOD',
  'CAP_NET_BIND_SERVICE',
  'CAP_NET_RAW',
  'CAP_SETFCAP',
  'CAP_SETGID',
  'CAP_SETPCAP',
  'CAP_SETUID',
  'CAP_SYS_CHROOT',
];

/** Every capability of Linux 6.x, in the order of their numbers. */
const everyCapability: readonly string[] = [
  'CHOWN',
  'DAC_OVERRIDE',
  'DAC_READ_SEARCH',
  'FOWNER',
  'FSETID',
  'KILL',
  'SETGID',
  'SETUID',
  'SETPCAP',
  'LINUX_IMMUTABLE',
  'NET_BIND_SERVICE',
  'NET_BROADCAST',
  'NET_ADMIN',
  'NET_RAW',
  'IPC_LOCK',
  'IPC_OWNER',
  'SYS_MODULE',
  'SYS_RAWIO',
  'SYS_CHROOT',
  'SYS_PTRACE',
  'SYS_PACCT',
  'SYS_ADMIN',
  'SYS_BOOT',
  'SYS_NICE',
  'SYS_RESOURCE',
  'SYS_TIME',
  'SYS_TTY_CONFIG',
  'MKNOD',
  'LEASE',
  'AUDIT_WRITE',
  'AUDIT_CONTROL',
  'SETFCAP',
  'MAC_OVERRIDE',
  'MAC_ADMIN',
  'SYSLOG',
  'WAKE_ALARM',
  'BLOCK_SUSPEND',
  'AUDIT_READ',
  'PERFMON',
  'BPF',
  'CHECKPOINT_RESTORE',
].map((name) => `CAP_${name}`);

/** The set an app gets, limited to what this process itself may give away (`own`, a bit mask). @throws ERR_POD_MANIFEST */
export function capabilitiesOf(app: string, spec: AppSpec, everything: boolean, own: bigint): string[] {
  const ours = everyCapability.filter((_, bit) => ((own >> BigInt(bit)) & 1n) === 1n);
  return wanted(app, spec, everything)
    .filter((name) => ours.includes(name))
    .sort();
}

function wanted(app: string, spec: AppSpec, everything: boolean): readonly string[] {
  const retain = isolatorSet(app, spec, 'os/linux/capabilities-retain-set');
  const remove = isolatorSet(app, spec, 'os/linux/capabilities-remove-set');
  if (retain !== undefined && remove !== undefined)
    throw new RuntimeError('ERR_POD_MANIFEST', `app ${app}: capabilities-retain-set and capabilities-remove-set exclude each other`);
  if (everything) return everyCapability;
  if (retain !== undefined) return retain;
  return remove === undefined ? defaultCapabilities : defaultCapabilities.filter((name) => !remove.includes(name));
}

function isolatorSet(app: string, spec: AppSpec, isolator: string): string[] | undefined {
  const value = spec.isolators?.find(({ name }) => name === isolator)?.value;
  if (value === undefined) return undefined;
  const set: unknown = typeof value === 'object' && value !== null && 'set' in value ? value.set : undefined;
  if (!Array.isArray(set)) throw new RuntimeError('ERR_POD_MANIFEST', `app ${app}: isolator ${isolator} has no set`);
  return set.map((entry: unknown) => {
    const name = String(entry).toUpperCase();
    const full = name.startsWith('CAP_') ? name : `CAP_${name}`;
    if (!everyCapability.includes(full)) throw new RuntimeError('ERR_POD_MANIFEST', `app ${app}: there is no capability ${full}`);
    return full;
  });
}
