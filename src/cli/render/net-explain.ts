/** What is known about a pod's networks, for people: attachments, calls, objects, findings. */
import { printable } from '../../model/errors.ts';
import { type ExplainedAttachment, type ExplainedPod, elementText } from '../../workbench.ts';
import { renderTable } from './table.ts';

type Call = ExplainedPod['calls'][number];
type State = NonNullable<ExplainedAttachment['state']>;

/** Longer texts of calls are cut here, unless `raw`. */
const shownChars = 160;

export function explanation(pod: ExplainedPod, raw: boolean): string {
  return [
    header(pod),
    ...pod.attachments.map(attachmentText),
    section('plugin calls', pod.calls.length === 0 ? ['none recorded'] : pod.calls.flatMap((call, i) => callLines(call, i + 1, raw))),
    findings(pod),
  ].join('\n');
}

const section = (title: string, lines: readonly string[]): string => `${[title, ...lines.map((line) => `  ${line}`)].join('\n')}\n`;
const oneLine = (text: string): string => printable(text).replaceAll('\n', ' ');

function header({ pod, name, state, mode, attachments, findings: found }: ExplainedPod): string {
  const how =
    mode === 'host'
      ? 'uses the network of the host'
      : attachments.length === 0
        ? 'is attached to no network'
        : `is attached to ${attachments.length === 1 ? 'one network' : `${attachments.length} networks`}`;
  const wrong = found.length === 0 ? '' : `; ${found.length === 1 ? 'one finding' : `${found.length} findings`}, at the end`;
  return `pod ${pod}${name === undefined ? '' : ` "${name}"`} (${state}) ${how}${wrong}\n`;
}

/* ---- what exists because of it ---- */

function attachmentText({ network, key, netns, result, state }: ExplainedAttachment): string {
  const rows: string[][] = [
    ['configured in', `${network.source.path} (${network.source.owner}), CNI ${network.cniVersion}`],
    [
      'plugins',
      network.plugins
        .map(({ type, via, ipam }) => `${type}${via === 'builtin' ? '' : ` (${via})`}${ipam === undefined ? '' : `+${ipam.type}`}`)
        .join(', '),
    ],
    ['namespace', `${netns}${state?.pod === undefined ? ': gone' : ''}`],
    ...(result?.ips ?? []).map(({ address, gateway }) => ['address', `${address}${gateway === undefined ? '' : `, gateway ${gateway}`}`]),
    ...(network.capabilityArgs.portMappings ?? []).map(({ hostIP, hostPort, containerPort, protocol }) => [
      'port',
      `${protocol} ${hostIP ?? 'any address'}:${hostPort} -> ${containerPort} of the pod`,
    ]),
    ...(state === undefined ? [] : objects(state, network.ifName)),
  ];
  const named = rows.map(([label = '', text = ''], i) => [label === rows[i - 1]?.[0] ? '' : label, text]);
  return `${oneLine(`${network.ifName} = network "${network.name}", everything of it is named ${key}`)}\n${renderTable(undefined, named)
    .split('\n')
    .map((line) => (line === '' ? '' : `  ${line}`))
    .join('\n')}`;
}

function objects(state: State, ifName: string): string[][] {
  const inside = state.pod?.links.find(({ name }) => name === ifName);
  return [
    ['in the pod', inside === undefined ? `${ifName} is missing` : linkText(inside)],
    ...(inside?.routes ?? []).map(({ dst, gateway }) => ['', `route ${dst}${gateway === undefined ? '' : ` via ${gateway}`}`]),
    ...(state.pod?.listeners ?? []).map(({ protocol, address, port }) => [
      'listens',
      `${protocol} ${address === '' ? 'any address' : address} port ${port}`,
    ]),
    ...state.hostLinks.map((link) => ['on the host', linkText(link)]),
    ...Object.entries(state.towards).map(([ip, device]) => ['way to it', `${ip} through ${device ?? 'nothing: no route'}`]),
    ...state.elements.map((element) => ['nftables', `inet rkt ${elementText(element)}`]),
    ...state.leases.map(({ address, containerId, ifName: name, path }) => ['lease', `${address} held by ${containerId}/${name ?? '?'} (${path})`]),
    ...(state.cache === undefined ? [] : [['cache', state.cache]]),
    ['forwarding', `IPv4 ${onOff(state.forwarding[4])}, IPv6 ${onOff(state.forwarding[6])}`],
  ];
}
const onOff = (value: string | undefined): string => (value === undefined ? 'not in this kernel' : value === '0' ? 'off' : 'on');

function linkText({ name, kind, mac, up, master, addresses }: State['hostLinks'][number]): string {
  return [
    `${name} (${kind === '' ? 'device' : kind})`,
    up ? 'up' : 'DOWN',
    mac,
    ...(master === undefined ? [] : [`port of ${master}`]),
    ...(addresses.length === 0 ? [] : [addresses.join(' ')]),
  ].join(', ');
}

/* ---- calls ---- */

function callLines({ verb, network, plugin, via, env, stdin, stdout, stderr, ms, exit, notes }: Call, number: number, raw: boolean): string[] {
  const ended = exit === 0 ? 'ok' : exit < 0 ? 'did not end by itself' : `exit ${exit}`;
  const block = (label: string, text: string): string[] => {
    if (text === '') return [];
    if (raw)
      return [
        `     ${label}:`,
        ...text
          .trimEnd()
          .split('\n')
          .map((line) => `       ${printable(line)}`),
      ];
    const line = oneLine(text.trim());
    return [`     ${label}: ${line.length > shownChars ? `${line.slice(0, shownChars)}… (${text.length} characters)` : line}`];
  };
  return [
    `${number}. ${oneLine(`${verb} ${plugin} of "${network}"`)}: ${ended}, ${ms.toFixed(1)} ms, ${via === 'builtin' ? 'built in' : oneLine(via)}`,
    `     env: ${oneLine(
      Object.entries(env)
        .map(([name, value]) => `${name}=${value}`)
        .join(' '),
    )}`,
    ...block('stdin', stdin),
    ...block('stdout', stdout),
    ...block('stderr', stderr),
    ...notes.map(({ what, detail }) => `     note: ${oneLine(`${what}: ${detail}`)}`),
  ];
}

/* ---- findings ---- */

function findings({ findings: found }: ExplainedPod): string {
  if (found.length === 0) return section('findings', ['none: everything is as it was made, and somebody listens on every published port']);
  return section(
    'findings',
    found.flatMap(({ on, what, effect, cure }, i) => [
      `${i + 1}. ${oneLine(`${on}: ${what}`)}`,
      `     so:   ${oneLine(effect)}`,
      `     cure: ${oneLine(cure)}`,
    ]),
  );
}
