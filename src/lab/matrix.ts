/** The matrix as text, as users of Cyclonus read it: rows are sources, columns targets, one character a port. */
import { portKey } from '../policy/model/experiment.ts';
import type { Family } from '../model/cidr.ts';
import type { Protocol } from '../policy/model/values.ts';

/** One connection and its character. */
export interface Mark {
  readonly from: string;
  readonly to: string;
  readonly protocol: Protocol;
  readonly port: number;
  readonly family: Family;
  readonly network: string;
  readonly mark: string;
}

export const marks = { allow: '.', deny: 'X', loopback: '#', noEvidence: '?', unexpectedlyOpen: 'x', unexpectedlyShut: 'O', notAsked: '-' } as const;

const byPort = (a: Mark, b: Mark): number => (a.protocol === b.protocol ? a.port - b.port : a.protocol < b.protocol ? -1 : 1);

/** One table for each network and family; families that agree share one. Parties keep the order in which they come. */
export function matrixText(all: readonly Mark[], primary: string): string {
  const networks = [...new Set(all.map(({ network }) => network))].sort((a, b) => Number(b === primary) - Number(a === primary) || (a < b ? -1 : 1));
  const tables = networks.flatMap((network) => {
    const ofFamily = ([4, 6] as const).map((family) => table(all.filter((mark) => mark.network === network && mark.family === family)));
    const [four = '', six = ''] = ofFamily;
    const title = networks.length > 1 ? `network ${network}, ` : '';
    if (four !== '' && six !== '' && four === six) return [`${title}IPv4 and IPv6\n${four}`];
    return [four === '' ? '' : `${title}IPv4\n${four}`, six === '' ? '' : `${title}IPv6\n${six}`].filter((text) => text !== '');
  });
  return tables.join('\n');
}

function table(all: readonly Mark[]): string {
  if (all.length === 0) return '';
  const ports = [...new Map([...all].sort(byPort).map((mark) => [portKey(mark), mark])).keys()];
  const rows = [...new Set(all.map(({ from }) => from))];
  const columns = [...new Set(all.map(({ to }) => to))];
  const cells = new Map(all.map((mark) => [`${mark.from}\n${mark.to}\n${portKey(mark)}`, mark.mark]));
  const cell = (from: string, to: string): string => ports.map((port) => cells.get(`${from}\n${to}\n${port}`) ?? marks.notAsked).join('');
  const first = Math.max(...rows.map(({ length }) => length));
  const widths = columns.map((column) => Math.max(column.length, ports.length));
  const rule = `+${'-'.repeat(first + 2)}+${widths.map((width) => `${'-'.repeat(width + 2)}+`).join('')}`;
  const line = (head: string, texts: readonly string[]): string =>
    `| ${head.padEnd(first)} |${texts.map((text, index) => ` ${text.padEnd(widths[index] ?? 0)} |`).join('')}`;
  return [
    `ports: ${ports.join(' ')}`,
    rule,
    line('', columns),
    rule,
    ...rows.map((from) =>
      line(
        from,
        columns.map((to) => cell(from, to)),
      ),
    ),
    rule,
    '',
  ].join('\n');
}
