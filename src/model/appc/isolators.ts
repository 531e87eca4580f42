/** Isolators of apps and pods. What appc does not define is left to whoever does. @see appc 0.8.11 spec/ace.md "Isolators"; rkt.md 2.11 */
import * as z from 'zod/mini';
import { must, shown } from '../document.ts';
import { acIdentifier, flag, integer, listRule, objectRule, textMap } from './fields.ts';
import { milliOf } from './quantity.ts';

const quantityText = 'a quantity like 500m, 2G or 1Gi';
const quantity = z
  .union([z.string(), z.number()], { error: must(quantityText) })
  .check(z.refine((value) => (milliOf(String(value)) ?? -1n) >= 0n, { error: must(quantityText) }));

const resource = (scope: 'default' | 'no default') =>
  z.object({ default: z.nullish(flag), request: z.nullish(quantity), limit: z.nullish(quantity) }, { error: must('an object with a limit') }).check(
    objectRule((value, report) => {
      if (scope === 'no default' && value['default'] === true) report(['default'], 'must not be true: it is about one resource');
      if (scope === 'no default') return;
      if (value['default'] !== true) report(['default'], 'must be true: it is the limit of all devices');
      if (value['request'] != null) report(['request'], 'must be left out: only a limit can be set');
    }),
  );

const wordSet = (what: string, pattern: RegExp) =>
  z
    .array(z.string({ error: must(what) }).check(z.refine((word) => pattern.test(word), { error: must(what) })), {
      error: must(`a list: each ${what}`),
    })
    .check(z.minLength(1, 'must not be empty'));

const capabilities = z.object({ set: wordSet('a capability like CAP_NET_ADMIN', /^(?:CAP_)?[A-Z0-9_]+$/) }, { error: must('an object with a set') });
const seccomp = z.object(
  {
    set: wordSet('a system call or a set like @appc.io/all', /^(?:[a-z0-9_]+|@[a-z0-9.-]+\/[a-z0-9._-]+)$/),
    errno: z.nullish(
      z
        .string({ error: must('the name of an error like EPERM') })
        .check(z.refine((value) => /^(?:[A-Z][A-Z0-9]*)?$/.test(value), { error: must('the name of an error like EPERM') })),
    ),
  },
  { error: must('an object with a set') },
);
const part = (pattern: RegExp) =>
  z
    .string({ error: must('a part of an SELinux context') })
    .check(z.refine((value) => pattern.test(value), { error: must('a part of an SELinux context') }));
const selinux = z.object(
  { user: part(/^[^:\s]+$/), role: part(/^[^:\s]+$/), type: part(/^[^:\s]+$/), level: part(/^\S+$/) },
  { error: must('an object with user, role, type and level') },
);

/** Isolators whose values appc defines. */
const values: Readonly<Record<string, z.ZodMiniType>> = {
  'os/linux/capabilities-retain-set': capabilities,
  'os/linux/capabilities-remove-set': capabilities,
  'os/linux/seccomp-retain-set': seccomp,
  'os/linux/seccomp-remove-set': seccomp,
  'os/linux/selinux-context': selinux,
  'os/linux/no-new-privileges': flag,
  'os/linux/oom-score-adj': integer(-1000, 1000, 'a whole number, -1000 to 1000'),
  'os/linux/cpu-shares': integer(2, 262_144, 'a whole number, 2 to 262144'),
  'os/unix/sysctl': textMap,
  'resource/cpu': resource('no default'),
  'resource/memory': resource('no default'),
  'resource/block-bandwidth': resource('default'),
  'resource/block-iops': resource('default'),
  'resource/network-bandwidth': resource('default'),
};

/** Of these there may be one. */
const single = new Set([
  'os/linux/seccomp-retain-set',
  'os/linux/seccomp-remove-set',
  'os/linux/selinux-context',
  'os/linux/oom-score-adj',
  'os/linux/cpu-shares',
  'os/unix/sysctl',
]);
/** Two ways to say what is left: both at once contradict each other. */
const exclusive = [
  ['os/linux/capabilities-retain-set', 'os/linux/capabilities-remove-set'],
  ['os/linux/seccomp-retain-set', 'os/linux/seccomp-remove-set'],
] as const;

const nameOf = (element: unknown): string | undefined =>
  typeof element === 'object' && element !== null && 'name' in element && typeof element.name === 'string' ? element.name : undefined;

export const isolators = z
  .array(
    z.object({ name: acIdentifier, value: z.optional(z.unknown()) }, { error: must('an object with name and value') }).check(
      objectRule((isolator, report) => {
        const name = nameOf(isolator) ?? '';
        if (!('value' in isolator)) return report(['value'], 'is missing');
        const result = Object.hasOwn(values, name) ? values[name]?.safeParse(isolator['value']) : undefined;
        for (const { path, message } of result?.error?.issues ?? [])
          report(['value', ...path.map((step) => (typeof step === 'symbol' ? '' : step))], message);
      }),
    ),
    { error: must('a list of isolators') },
  )
  .check(
    listRule((list, report) => {
      const names = list.map(nameOf);
      for (const [i, name] of names.entries()) {
        const first = names.indexOf(name);
        if (name !== undefined && single.has(name) && first < i) report([i, 'name'], `is ${shown(name)} for the second time: [${first}] is one, too`);
      }
      for (const [one, other] of exclusive) {
        const i = names.lastIndexOf(other);
        if (names.includes(one) && i >= 0) report([i, 'name'], `must not be ${other} beside ${one}`);
      }
    }),
  );
