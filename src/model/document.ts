/** JSON documents from outside, checked against a schema: every fault is listed with its place, not only the first. */
import * as z from 'zod/mini';
import { RuntimeError, printable } from './errors.ts';
import { exceedsDepth, maxDepth } from './json-text.ts';

// Code that zod would generate for each object is never run often enough to be worth its compilation.
z.config({ jitless: true });

const maxShown = 60;
/** As many as anybody reads. */
const maxFaults = 100;

/** A value as it stands in a message, short and safe for a terminal. */
export function shown(value: unknown): string {
  let json: string | undefined;
  try {
    json = JSON.stringify(value);
  } catch (error) {
    // Lists in lists by the hundred thousand, and what JSON.stringify has no stack for.
    if (!(error instanceof RangeError)) throw error;
    return 'something nested deeply';
  }
  const text = printable(json ?? 'undefined');
  return text.length > maxShown ? `${text.slice(0, maxShown - 3)}...` : text;
}

/** The message for a value that is not `what`. */
export const must = (what: string) => (issue: { input?: unknown }) =>
  issue.input === undefined ? `is missing; must be ${what}` : `must be ${what}, not ${shown(issue.input)}`;

const atPath = (path: readonly PropertyKey[]): string =>
  path.reduce<string>(
    (whole, step) => (typeof step === 'number' ? `${whole}[${step}]` : whole === '' ? String(step) : `${whole}.${String(step)}`),
    '',
  );

/** What `value` is, or its faults, one text each: `path message`. */
export function examine<T>(schema: z.ZodMiniType<T>, value: unknown): { readonly value: T } | { readonly faults: readonly string[] } {
  const result = schema.safeParse(value);
  return result.success
    ? { value: result.data }
    : { faults: result.error.issues.map(({ path, message }) => printable(`${atPath(path)} ${message}`.trim())) };
}

/** Parses and checks one JSON document. `what` names it in the error. @throws `code` with one detail a fault */
export function checkDocument<T>(
  schema: z.ZodMiniType<T>,
  bytes: Uint8Array,
  what: string,
  code: 'ERR_IMAGE_INVALID' | 'ERR_POD_MANIFEST' = 'ERR_IMAGE_INVALID',
): T {
  if (exceedsDepth(bytes, maxDepth)) throw new RuntimeError(code, `${what} is nested deeper than ${maxDepth} levels`);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new RuntimeError(code, `${what} is not JSON`, { cause });
  }
  const result = examine(schema, value);
  if ('value' in result) return result.value;
  const { faults } = result;
  throw new RuntimeError(code, faults.length === 1 ? `${what}: ${faults[0] ?? ''}` : `${what} has ${faults.length} faults`, {
    details: faults.length === 1 ? [] : faults.length > maxFaults ? [...faults.slice(0, maxFaults), `and ${faults.length - maxFaults} more`] : faults,
  });
}
