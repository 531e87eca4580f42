/** Computed tables in the kernel: put in place, read, removed. Each call is one transaction. Throws Errno. */
import type { TableCounter, TableValue } from '../../model/ruleset/table.ts';
import { isErrno } from '../linux.ts';
import { ask, dump, sendBatch } from './transport.ts';
import { decodeCounter, dumpCountersRequest, getTableOf, removalMessages, tableMessages } from './whole-table.ts';

const tableFamilies = ['inet', 'bridge'] as const;

/** All tables called `name` are as `tables` says: those that are not among them are removed. Not a packet meets half of it. */
export function replaceTables(name: string, tables: readonly TableValue[]): void {
  const wanted = new Set(tables.map(({ family }) => family ?? 'inet'));
  // Only what is there: a kernel without tables of family bridge would refuse the rest as well.
  const found = ask(tableFamilies.map((family) => getTableOf(family, name)));
  const gone = tableFamilies
    .filter((family, i) => !wanted.has(family) && found[i]?.body !== undefined)
    .flatMap((family) => removalMessages(family, name));
  sendBatch([...gone, ...tables.flatMap(tableMessages)].map((message) => ({ message, what: `replace table ${name}` })));
}

/** None without the table. */
export function readCounters(name: string): TableCounter[] {
  try {
    return dump(dumpCountersRequest(name), `list counters of ${name}`).map(decodeCounter);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
}
