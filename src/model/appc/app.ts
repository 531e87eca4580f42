/** The app of an image manifest, which a pod manifest may put in its place. @see appc 0.8.11 spec/aci.md "app" */
import * as z from 'zod/mini';
import { must } from '../document.ts';
import { absolutePath, acName, flag, integer, objectRule, port, requiredText, text, textMap, texts, uniqueNames, unixId } from './fields.ts';
import { isolators } from './isolators.ts';

export const appPort = z
  .object(
    {
      name: acName,
      protocol: requiredText,
      port,
      // Go's encoder writes the 0 of a count that nobody set.
      count: z.nullish(integer(0, 65_535, 'how many ports, 1 to 65535')),
      socketActivated: z.nullish(flag),
    },
    { error: must('an object with name, protocol and port') },
  )
  .check(
    objectRule(({ port: first, count }, report) => {
      if (typeof first === 'number' && typeof count === 'number' && first <= 65_535 && first + Math.max(count, 1) - 1 > 65_535)
        report(['count'], `must not lead beyond port 65535: ${first} and ${count} ports are ${first + count - 1}`);
    }),
  );

const environmentName = 'a name of letters, digits and underscores, no digit first';
const environment = z
  .array(
    z.object(
      {
        name: z
          .string({ error: must(environmentName) })
          .check(z.refine((name) => /^[A-Za-z_][A-Za-z0-9_]*$/.test(name), { error: must(environmentName) })),
        value: text,
      },
      { error: must('an object with name and value') },
    ),
    { error: must('a list of variables') },
  )
  .check(uniqueNames('variable'));

const eventHandlers = z
  .array(
    z.object(
      {
        name: z.enum(['pre-start', 'post-stop'], { error: must('"pre-start" or "post-stop"') }),
        exec: texts.check(z.minLength(1, 'must not be empty')),
      },
      { error: must('an object with name and exec') },
    ),
    { error: must('a list of event handlers') },
  )
  .check(uniqueNames('event handler'));

export const mountPoint = z.object({ name: acName, path: absolutePath, readOnly: z.nullish(flag) }, { error: must('an object with name and path') });

export const app = z.object(
  {
    // Whoever runs the image may name the program; an image may be made without one (appc 0.7.2).
    exec: z.nullish(texts),
    user: requiredText,
    group: requiredText,
    supplementaryGIDs: z.nullish(z.array(unixId, { error: must('a list of group numbers') })),
    eventHandlers: z.nullish(eventHandlers),
    workingDirectory: z.nullish(z.union([z.literal(''), absolutePath], { error: must('an absolute path') })),
    environment: z.nullish(environment),
    mountPoints: z.nullish(z.array(mountPoint, { error: must('a list of mount points') }).check(uniqueNames('mount point'))),
    ports: z.nullish(z.array(appPort, { error: must('a list of ports') }).check(uniqueNames('port'))),
    isolators: z.nullish(isolators),
    userAnnotations: z.nullish(textMap),
    userLabels: z.nullish(textMap),
  },
  { error: must('an object with exec, user and group') },
);
export type AppcApp = z.infer<typeof app>;
