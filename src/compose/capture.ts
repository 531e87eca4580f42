/** `net capture`: this process becomes tcpdump in a pod's network namespace. */
import { openSync } from 'node:fs';
import { liveAttachments } from '../effects/attachments.ts';
import { readJournal } from '../effects/journal.ts';
import { linkByName, listLinks } from '../host/netlink/rtnetlink.ts';
import { RouteSocket } from '../host/netlink/socket.ts';
import { CLONE, execve, setns } from '../host/linux.ts';
import { netnsExists, withNetns } from '../host/netns.ts';
import { holdProcess, readProcessId } from '../host/process.ts';
import { findProgram } from '../host/run-program.ts';
import { RuntimeError, messageOf } from '../model/errors.ts';
import { netnsPath } from '../stage0/prepare/steps.ts';
import { requireRunning } from '../state/pod/info.ts';
import { podFiles } from '../state/pod/layout.ts';
import type { PodEntry } from '../state/pod/lifecycle.ts';

export interface CaptureOptions {
  /** interface in the pod; undefined: that of its first network; `any` is tcpdump's own */
  readonly ifName: string | undefined;
  /** pcap file, `-` for stdout; undefined: packets are printed */
  readonly file: string | undefined;
  /** tcpdump's filter expression */
  readonly filter: readonly string[];
}

/** Never returns. @throws ERR_POD_STATE, ERR_HOST_PROGRAM_MISSING, ERR_NET_ATTACHED for an interface the pod has not */
export function capture(pod: PodEntry, { ifName, file, filter }: CaptureOptions): never {
  requireRunning(pod);
  const netns = netnsPath(pod.id);
  if (!netnsExists(netns))
    throw new RuntimeError('ERR_POD_STATE', `pod ${pod.id} has no network of its own: its packets are the host's`, { hint: 'tcpdump shows them' });
  const tcpdump = findProgram('tcpdump');
  if (tcpdump === undefined) throw new RuntimeError('ERR_HOST_PROGRAM_MISSING', 'tcpdump is not installed', { hint: 'apt install tcpdump' });
  const device = ifName ?? liveAttachments(readJournal(podFiles(pod.dir).journal))[0]?.step.network.ifName;
  if (device === undefined)
    throw new RuntimeError('ERR_NET_ATTACHED', `pod ${pod.id} is on no network`, { hint: '--interface=lo shows what its apps say to each other' });
  if (device !== 'any') requireLink(pod, netns, device);
  const argv = [
    'tcpdump',
    // Names would be asked for in the pod's namespace: packets of our own among those that are looked at.
    '-n',
    // Each packet at once, for whoever reads along or interrupts.
    ...(file === undefined ? ['-l'] : ['-U', '-w', file]),
    '-i',
    device,
    // Stays root: the file may be in a directory that is root's only.
    '-Z',
    'root',
    '--',
    ...filter,
  ];
  endWithPod(pod);
  setns(openSync(netns, 'r'), CLONE.NEWNET);
  try {
    return execve(tcpdump, argv, { PATH: process.env['PATH'] ?? '', TZ: process.env['TZ'] ?? '' }, []);
  } catch (error) {
    throw new RuntimeError('ERR_HOST_PROGRAM_MISSING', `cannot become ${tcpdump}: ${messageOf(error)}`, { cause: error });
  }
}

/** The kernel hands packets to tcpdump once a second: the last ones are those that tell how it came to an end. */
const lingerMs = 1_100;

/** tcpdump would go on for ever, and keep the namespace: nothing happens in it any more. Before setns, lest the watcher keeps it too. */
function endWithPod(pod: PodEntry): void {
  const wanted = readProcessId(podFiles(pod.dir).pid);
  using supervisor = wanted === undefined ? undefined : holdProcess(wanted);
  if (supervisor === undefined) throw new RuntimeError('ERR_POD_STATE', `pod ${pod.id} exited meanwhile`);
  supervisor.endWithIt(`pod ${pod.id} has ended, and the capture with it\n`, lingerMs);
}

function requireLink(pod: PodEntry, netns: string, device: string): void {
  const links = withNetns(netns, () => {
    using socket = new RouteSocket();
    return linkByName(socket, device) === undefined ? listLinks(socket).map(({ name }) => name) : undefined;
  });
  if (links === undefined) return;
  throw new RuntimeError('ERR_NET_ATTACHED', `pod ${pod.id} has no interface ${JSON.stringify(device)}`, {
    hint: `it has ${links.join(', ')}, and "any" means all of them`,
  });
}
