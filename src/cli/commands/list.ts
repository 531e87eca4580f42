import { listPodInfos } from '../../pods.ts';
import { defineCommand } from '../command.ts';
import { formatFlag, out, outJson } from '../output.ts';
import { ago, networksText, podJson, portsText } from '../render/pod.ts';
import { renderTable } from '../render/table.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'list',
  summary: 'list pods',
  usage: '[flags]',
  examples: [
    ['rkt list --full', 'whole UUIDs, image IDs and times'],
    ['rkt list --format=json', 'for programs'],
  ],
  flags: {
    full: { type: 'boolean', help: 'whole UUIDs, image IDs and absolute times' },
    'no-legend': { type: 'boolean', help: 'no header' },
    format: formatFlag,
  },
  run({ flags, global }) {
    const pods = listPodInfos(settingsFrom(global));
    if (flags.format !== undefined) {
      outJson(pods.length === 0 ? null : pods.map(podJson), flags.format);
      return 0;
    }
    const header = ['UUID', 'APP', 'IMAGE NAME', ...(flags.full ? ['IMAGE ID'] : []), 'STATE', 'CREATED', 'STARTED', 'NETWORKS', 'PORTS', 'NAME'];
    const nowMs = Date.now();
    const time = (ms: number | undefined): string => (ms === undefined ? '' : flags.full ? new Date(ms).toISOString() : ago(nowMs - ms));
    const rows = pods.flatMap((pod) => {
      const apps = pod.manifest?.apps ?? [];
      const first = [pod.state, time(pod.createdMs), time(pod.startedMs), networksText(pod), portsText(pod), pod.name ?? ''];
      return (apps.length === 0 ? [undefined] : apps).map((app, i) => [
        i === 0 ? (flags.full ? pod.id : pod.id.slice(0, 8)) : '',
        app?.name ?? '-',
        app?.image.name ?? '-',
        ...(flags.full ? [app?.image.id.replace(':', '-').slice(0, 19) ?? '-'] : []),
        ...(i === 0 ? first : first.map(() => '')),
      ]);
    });
    out(renderTable(flags['no-legend'] ? undefined : header, rows));
    return 0;
  },
});
