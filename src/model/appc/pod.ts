/** appc pod manifests, checked. @see appc 0.8.11 spec/pods.md "Pod Manifest Schema" */
import * as z from 'zod/mini';
import { parseIp } from '../cidr.ts';
import { checkDocument, must } from '../document.ts';
import { app, appPort } from './app.ts';
import {
  absolutePath,
  acIdentifier,
  acKind,
  acName,
  acVersion,
  annotations,
  flag,
  imageIdPrefix,
  objectRule,
  port,
  requiredText,
  text,
  textMap,
  uniqueNames,
  unixId,
} from './fields.ts';
import { isolators } from './isolators.ts';
import { labels } from './labels.ts';

/** Fields that not every kind of volume has. */
const ownFields: Readonly<Record<string, readonly string[]>> = {
  host: ['source', 'recursive'],
  empty: ['mode', 'uid', 'gid'],
  tmpfs: ['mode', 'uid', 'gid', 'size'],
  image: ['image'],
};
const someFields = [...new Set(Object.values(ownFields).flat())];
const ownersOf = (field: string): string =>
  Object.entries(ownFields)
    .flatMap(([kind, fields]) => (fields.includes(field) ? [kind] : []))
    .join(' and ');
const mode = 'an octal mode like "0755"';
const size = 'a size like "64m" or "10%"';

/** What tmpfs(5) takes as its size, and nothing that would be another option. */
const isTmpfsSize = (text: string): boolean => /^[1-9]\d{0,15}[kmg]?$/i.test(text) || /^([1-9]\d?|100)%$/.test(text);

const volume = z
  .object(
    {
      name: acName,
      // rkt differs: appc has the first two only.
      kind: z.enum(['host', 'empty', 'tmpfs', 'image'], { error: must('"host", "empty", "tmpfs" or "image"') }),
      source: z.nullish(text),
      readOnly: z.nullish(flag),
      recursive: z.nullish(flag),
      mode: z.nullish(z.string({ error: must(mode) }).check(z.refine((value) => /^[0-7]{1,5}$/.test(value), { error: must(mode) }))),
      uid: z.nullish(unixId),
      gid: z.nullish(unixId),
      size: z.nullish(z.string({ error: must(size) }).check(z.refine(isTmpfsSize, { error: must(size) }))),
      image: z.nullish(requiredText),
    },
    { error: must('an object with name and kind') },
  )
  .check(
    objectRule((value, report) => {
      const { kind, source } = value;
      if (kind === 'host') {
        const fault = source == null || source === '' ? undefined : absolutePath.safeParse(source).error?.issues[0]?.message;
        if (source == null || source === '') report(['source'], 'is missing; a volume of kind host needs an absolute path');
        else if (fault !== undefined && typeof source === 'string') report(['source'], fault);
      }
      if (kind === 'image' && value['image'] == null) report(['image'], 'is missing; a volume of kind image needs one');
      const own = typeof kind === 'string' ? ownFields[kind] : undefined;
      if (own === undefined) return;
      for (const field of someFields) {
        if (!own.includes(field) && value[field] != null && value[field] !== '')
          report([field], `must be left out: it is of volumes of kind ${ownersOf(field)}`);
      }
    }),
  );

const mount = z.object({ volume: acName, path: requiredText, appVolume: z.nullish(volume) }, { error: must('an object with volume and path') });

const podApp = z.object(
  {
    name: acName,
    image: z.object({ name: z.nullish(acIdentifier), id: imageIdPrefix, labels: z.nullish(labels) }, { error: must('an object with id') }),
    app: z.nullish(app),
    readOnlyRootFS: z.nullish(flag),
    mounts: z.nullish(z.array(mount, { error: must('a list of mounts') })),
    annotations: z.nullish(annotations),
  },
  { error: must('an object with name and image') },
);

const exposedPort = z.object(
  {
    name: acName,
    hostPort: port,
    hostIP: z.nullish(
      z
        .string({ error: must('an IP address') })
        .check(z.refine((value) => value === '' || parseIp(value) !== undefined, { error: must('an IP address') })),
    ),
    podPort: z.nullish(appPort),
  },
  { error: must('an object with name and hostPort') },
);

const pod = z.object(
  {
    acVersion,
    acKind: acKind('PodManifest'),
    apps: z.array(podApp, { error: must('a list of apps') }).check(uniqueNames('app')),
    volumes: z.nullish(z.array(volume, { error: must('a list of volumes') }).check(uniqueNames('volume'))),
    isolators: z.nullish(isolators),
    annotations: z.nullish(annotations),
    ports: z.nullish(z.array(exposedPort, { error: must('a list of ports') })),
    userAnnotations: z.nullish(textMap),
    userLabels: z.nullish(textMap),
  },
  { error: must('an object') },
);
export type AppcPod = z.infer<typeof pod>;

/** Parses and checks a pod manifest. `what` names it. @throws ERR_POD_MANIFEST with one detail a fault */
export const checkPodManifest = (bytes: Uint8Array, what: string): AppcPod => checkDocument(pod, bytes, what, 'ERR_POD_MANIFEST');
