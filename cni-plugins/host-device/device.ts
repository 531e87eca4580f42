/** Which link of the host a configuration means. @see cni.md 3.7; Documentation/ABI/testing/sysfs-bus-pci */
import { existsSync, readlinkSync } from 'node:fs';
import { basename, join } from 'node:path';
import { namesIn } from '../../src/host/files.ts';
import { isErrno } from '../../src/host/linux.ts';
import { linkByName, listLinks, type Link } from '../../src/host/netlink/rtnetlink.ts';
import type { RouteSocket } from '../../src/host/netlink/socket.ts';
import { CniError, cniCode } from '../../src/model/cni/types.ts';
import type { Selector } from './conf.ts';

const pciDevices = '/sys/bus/pci/devices';
const auxiliaryDevices = '/sys/bus/auxiliary/devices';
/** Drivers that hand a device to a program: there is no link to move. */
const userspaceDrivers = new Set(['vfio-pci', 'uio_pci_generic', 'igb_uio']);

/** The PCI address the selector speaks of; undefined when it is of another sort. @throws CniError for a deviceID that no bus has */
export function pciAddressOf(selector: Selector): string | undefined {
  if (selector.by === 'pciBusID') return selector.id;
  if (selector.by !== 'deviceID') return undefined;
  if (existsSync(join(pciDevices, selector.id))) return selector.id;
  if (existsSync(join(auxiliaryDevices, selector.id))) return undefined;
  throw new CniError(cniCode.internal, `runtime config DeviceID ${selector.id} not found or unsupported`);
}

/** Whether a program drives the device (DPDK). */
export function isUserspaceDriven(pciAddress: string): boolean {
  try {
    return userspaceDrivers.has(basename(readlinkSync(join(pciDevices, pciAddress, 'driver'))));
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'EINVAL', 'ENOTDIR')) return false; // no device, or nothing drives it
    throw error;
  }
}

/** No link of the host is what the configuration means: a pod may have it. */
export class NoDevice extends CniError {
  constructor(selector: Selector) {
    super(cniCode.internal, `failed to find host device: no link with ${wanted(selector)}`, 'is it with another pod?');
  }
}

/** The link. @throws NoDevice */
export function findDevice(socket: RouteSocket, selector: Selector): Link {
  const found = lookUp(socket, selector);
  if (found === undefined) throw new NoDevice(selector);
  if (found.name === 'lo') throw new CniError(cniCode.config, 'lo cannot be given to a pod');
  return found;
}
function wanted(selector: Selector): string {
  switch (selector.by) {
    case 'device':
      return `device ${JSON.stringify(selector.name)}`;
    case 'hwaddr':
      return `hwaddr ${selector.mac}`;
    case 'kernelpath':
      return `kernelpath ${selector.path}`;
    default:
      return `${selector.by} ${selector.id}`;
  }
}

function lookUp(socket: RouteSocket, selector: Selector): Link | undefined {
  switch (selector.by) {
    case 'device':
      return linkByName(socket, selector.name);
    case 'hwaddr':
      return listLinks(socket).find(({ mac }) => mac === selector.mac);
    case 'kernelpath':
      return firstLinkIn(socket, [join(selector.path, 'net')]);
    case 'pciBusID':
      return firstLinkIn(socket, netDirectories(join(pciDevices, selector.id)));
    case 'deviceID':
      return firstLinkIn(
        socket,
        [pciDevices, auxiliaryDevices].flatMap((bus) => netDirectories(join(bus, selector.id))),
      );
  }
}

/** A virtio device stands between its PCI device and its link. */
const netDirectories = (device: string): string[] => [
  join(device, 'net'),
  ...namesIn(device)
    .filter((name) => /^virtio\d+$/.test(name))
    .map((name) => join(device, name, 'net')),
];

/** sysfs shows links of the namespace it was mounted in, so what it names must also be here. */
function firstLinkIn(socket: RouteSocket, directories: readonly string[]): Link | undefined {
  for (const name of directories.flatMap(namesIn)) {
    const link = linkByName(socket, name);
    if (link !== undefined) return link;
  }
  return undefined;
}
