/** Values of the capability arguments everybody knows: a wrong one is found here, not by a plugin half-way. Pure. @see cni.md A2-A4, A7, A9 */
import { isObject } from '../model/cni/known-key.ts';
import { parseCidr, parseIp } from '../model/cidr.ts';

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';
const isTexts = (value: unknown): value is string[] => Array.isArray(value) && value.length > 0 && value.every(isText);
const isCount = (value: unknown): boolean => typeof value === 'number' && Number.isInteger(value) && value >= 0;

/** As the dnsname plugin reads names, who leaves out the others: underscores are common in service names. */
function aliasFault(name: string): string | undefined {
  if (name.length > 253) return 'it is longer than 253 bytes';
  if (!/^[a-z0-9_.-]+$/i.test(name)) return 'it has other characters than letters, digits, -, _ and dots';
  return name.split('.').every((label) => /^[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$/i.test(label))
    ? undefined
    : 'each part between dots has 1 to 63 characters and no dash at its ends';
}

const bandwidthKeys = ['ingressRate', 'ingressBurst', 'egressRate', 'egressBurst'];

const checks: Readonly<Record<string, (value: unknown) => string | undefined>> = {
  bandwidth: (value) => {
    if (!isObject(value)) return `must be an object with ${bandwidthKeys.join(', ')} (bits per second, bits)`;
    const entries = Object.entries(value).filter(([key]) => bandwidthKeys.includes(key));
    const wrong = entries.filter(([, rate]) => !isCount(rate)).map(([key]) => key);
    if (wrong.length > 0) return `${wrong.join(', ')} must be a whole number, not negative`;
    return entries.length === 0 ? `needs ${bandwidthKeys.join(', ')}` : undefined;
  },
  ipRanges: (value) => {
    const isSet = (set: unknown): boolean => Array.isArray(set) && set.length > 0 && set.every(isRange);
    return Array.isArray(value) && value.length > 0 && value.every(isSet)
      ? undefined
      : 'must be a list of lists of ranges: [[{"subnet":"10.1.0.0/16","rangeStart":…,"rangeEnd":…,"gateway":…}]]';
  },
  aliases: (value) => {
    if (!isTexts(value)) return 'must be a list of names';
    const faults = value.flatMap((name) => {
      const fault = aliasFault(name);
      return fault === undefined ? [] : [`${JSON.stringify(name)} is no DNS name: ${fault}`];
    });
    return faults.length === 0 ? undefined : faults.join('; ');
  },
  deviceID: (value) => (isText(value) ? undefined : 'must be the name of a device, in quotes'),
  infinibandGUID: (value) => (isText(value) ? undefined : 'must be a GUID, in quotes'),
  cgroupPath: (value) => (isText(value) ? undefined : 'must be a path, in quotes'),
  dns: (value) => {
    if (!isObject(value)) return 'must be an object with searches, servers, options';
    const wrong = ['searches', 'servers', 'options'].filter((key) => value[key] !== undefined && !isTexts(value[key]));
    return wrong.length === 0 ? undefined : `${wrong.join(', ')} must be a list of texts`;
  },
};

function isRange(range: unknown): boolean {
  if (!isObject(range) || typeof range['subnet'] !== 'string' || parseCidr(range['subnet']) === undefined) return false;
  return ['rangeStart', 'rangeEnd', 'gateway'].every((key) => {
    const value = range[key];
    return value === undefined || value === '' || (typeof value === 'string' && parseIp(value) !== undefined);
  });
}

/** What is wrong with the value of a capability; undefined if nothing is, or if nobody but its plugin can tell. */
export const capabilityFault = (capability: string, value: unknown): string | undefined =>
  Object.hasOwn(checks, capability) ? checks[capability]?.(value) : undefined;
