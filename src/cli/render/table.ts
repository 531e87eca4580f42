/** Tables for people: columns as wide as needed, two spaces between, foreign text made printable. */
import { printable } from '../../model/errors.ts';

export function renderTable(header: readonly string[] | undefined, rows: readonly (readonly string[])[]): string {
  const cells = [...(header === undefined ? [] : [header]), ...rows].map((row) => row.map((cell) => printable(cell).replace(/[\n\t]/g, ' ')));
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => (row[column] ?? '').length)));
  return cells
    .map(
      (row) =>
        `${row
          .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}
