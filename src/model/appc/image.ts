/** appc image manifests, checked. @see appc 0.8.11 spec/aci.md "Image Manifest Schema" */
import * as z from 'zod/mini';
import { checkDocument, must } from '../document.ts';
import { app } from './app.ts';
import { absolutePath, acIdentifier, acKind, acVersion, annotations, imageId, integer } from './fields.ts';
import { labels } from './labels.ts';

const dependency = z.object(
  {
    imageName: acIdentifier,
    imageID: z.nullish(imageId),
    labels: z.nullish(labels),
    size: z.nullish(integer(0, Number.MAX_SAFE_INTEGER, 'a number of bytes')),
  },
  { error: must('an object with imageName') },
);
export type AppcDependency = z.infer<typeof dependency>;

const image = z.object(
  {
    acKind: acKind('ImageManifest'),
    acVersion,
    name: acIdentifier,
    labels: z.nullish(labels),
    app: z.nullish(app),
    annotations: z.nullish(annotations),
    dependencies: z.nullish(z.array(dependency, { error: must('a list of dependencies') })),
    pathWhitelist: z.nullish(z.array(absolutePath, { error: must('a list of absolute paths') })),
  },
  { error: must('an object') },
);
export type AppcImage = z.infer<typeof image>;

/** Parses and checks an image manifest. `what` names it. @throws ERR_IMAGE_INVALID with one detail a fault */
export const checkImageManifest = (bytes: Uint8Array, what: string): AppcImage => checkDocument(image, bytes, what);
