/** Fields that image and pod manifests share. @see appc 0.8.11 spec/types.md, spec/aci.md */
import * as z from 'zod/mini';
import { must, shown } from '../document.ts';

/** Reports a fault at `path` below the value that is looked at. */
type Report = (path: readonly (string | number)[], message: string) => void;

/** A rule about a whole list; it is asked even when single elements are wrong, so that no fault hides another. */
export const listRule = (look: (list: readonly unknown[], report: Report) => void) =>
  z.superRefine<unknown>(
    (list, context) => {
      if (Array.isArray(list)) look(list, (path, message) => context.addIssue({ code: 'custom', input: list, path: [...path], message }));
    },
    { when: ({ value }) => Array.isArray(value) },
  );

/** A rule about a whole object, asked even when single fields are wrong. */
export const objectRule = (look: (object: Readonly<Record<string, unknown>>, report: Report) => void) =>
  z.superRefine<unknown>(
    (object, context) => {
      look(object as Record<string, unknown>, (path, message) => context.addIssue({ code: 'custom', input: object, path: [...path], message }));
    },
    { when: ({ value }) => typeof value === 'object' && value !== null && !Array.isArray(value) },
  );

const matching = (pattern: RegExp, what: string) =>
  z.string({ error: must(what) }).check(z.refine((value) => pattern.test(value), { error: must(what) }));

const acNameText = 'an AC Name: lower-case letters and digits, single dashes between them';
export const acName = matching(/^[a-z0-9]+(-[a-z0-9]+)*$/, acNameText);
export const acIdentifier = matching(
  /^[a-z0-9]+([-._~/][a-z0-9]+)*$/,
  'an AC Identifier: lower-case letters and digits, one of - . _ ~ / between them',
);

export const text = z.string({ error: must('a string') });
export const flag = z.boolean({ error: must('true or false') });
const filled = z.string({ error: must('a string') }).check(z.minLength(1, { error: 'must not be empty' }));
export const requiredText = filled;
export const texts = z.array(text, { error: must('a list of strings') });
export const textMap = z.record(z.string(), text, { error: must('an object of strings') });

/** A whole number within bounds. */
export const integer = (least: number, most: number, what: string) =>
  z.number({ error: must(what) }).check(z.refine((value) => Number.isSafeInteger(value) && value >= least && value <= most, { error: must(what) }));
export const unixId = integer(0, 0xfffffffe, 'a number of a user or group');
export const port = integer(1, 65_535, 'a port, 1 to 65535');

const path = 'an absolute path';
export const absolutePath = z.string({ error: must(path) }).check(
  z.refine((value) => value.startsWith('/'), { error: must(path) }),
  z.refine((value) => !value.includes('\0') && !value.split('/').includes('..'), { error: must('a path without ".."') }),
);

/** SemVer 2.0.0, of the major version that rkt knows. */
const semver =
  /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(?:-(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(?:\.(?:0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?$/;
export const acVersion = matching(semver, 'a version like 0.8.11').check(
  z.refine((value) => !semver.test(value) || value.startsWith('0.'), { error: must('a version 0.x: rkt knows appc 0.8.11') }),
);
export const acKind = (kind: 'ImageManifest' | 'PodManifest') => z.literal(kind, { error: must(`"${kind}"`) });

/** `sha512-` and all digits: the hash of an uncompressed ACI. */
export const imageId = matching(/^sha512-[0-9a-f]{128}$/, 'sha512- and 128 hexadecimal digits');
/** As {@link imageId}; the first digits are enough, for that is what `rkt fetch` prints. `sha256-`: an OCI or Docker image. */
export const imageIdPrefix = matching(
  /^(?:sha512[-:][0-9a-f]{2,128}|sha256[-:][0-9a-f]{2,64})$/,
  'an image ID: sha512- or sha256- and its digits or the first of them',
);

/** Every name but the first of its kind is a fault. `name` of an element is what has to be unique. */
export const uniqueNames = (what: string) =>
  listRule((list, report) => {
    const seen = new Map<unknown, number>();
    for (const [i, element] of list.entries()) {
      const name: unknown = typeof element === 'object' && element !== null && 'name' in element ? element.name : undefined;
      if (typeof name !== 'string') continue;
      const first = seen.get(name);
      if (first === undefined) seen.set(name, i);
      else report([i, 'name'], `is ${shown(name)} for the second time: ${what} [${first}] has that name`);
    }
  });

const timestamp = /^(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/;
/** RFC 3339 date-time, a day that is in the calendar included. */
function isTimestamp(value: string): boolean {
  const match = timestamp.exec(value);
  if (match === null) return false;
  const [, year = '', month = '', day = '', hour = '', minute = '', second = ''] = match;
  const days = new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate();
  return (
    Number(month) >= 1 &&
    Number(month) <= 12 &&
    Number(day) >= 1 &&
    Number(day) <= days &&
    Number(hour) < 24 &&
    Number(minute) < 60 &&
    Number(second) <= 60
  );
}
const isWebAddress = (value: string): boolean => /^https?:\/\/[^\s/?#]+/i.test(value) && URL.canParse(value);

const known: Readonly<Record<string, readonly [what: string, test: (value: string) => boolean]>> = {
  created: ['a date and time as in RFC 3339', isTimestamp],
  homepage: ['an http or https address', isWebAddress],
  documentation: ['an http or https address', isWebAddress],
};

export const annotations = z
  .array(z.object({ name: acIdentifier, value: text }, { error: must('an object with name and value') }), { error: must('a list of annotations') })
  .check(
    uniqueNames('annotation'),
    listRule((list, report) => {
      for (const [i, element] of list.entries()) {
        if (typeof element !== 'object' || element === null || !('name' in element) || !('value' in element)) continue;
        const { name, value } = element;
        const rule = typeof name === 'string' && Object.hasOwn(known, name) ? known[name] : undefined;
        if (rule !== undefined && typeof value === 'string' && !rule[1](value)) report([i, 'value'], `must be ${rule[0]}, not ${shown(value)}`);
      }
    }),
  );
