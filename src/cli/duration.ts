/** Durations of the command line: Go's `1h30m`, `500ms`, `0`; a bare number is seconds. */
import { RuntimeError } from '../model/errors.ts';

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };

/** @throws ERR_CLI_USAGE */
export function parseDurationMs(text: string): number {
  if (/^\d+(\.\d+)?$/.test(text)) return Number(text) * 1_000;
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text))
    throw new RuntimeError('ERR_CLI_USAGE', `"${text}" is not a duration`, { hint: 'for example 500ms, 10s, 1h30m' });
  let total = 0;
  for (const [, count, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)) total += Number(count) * (unitMs[unit ?? 's'] ?? 0);
  return total;
}
