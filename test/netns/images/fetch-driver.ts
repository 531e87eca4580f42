/** A fetch in a process of its own: argv is data directory, embedded images, reference; prints the image's id or the error. */
import { messageOf } from '../../../src/model/errors.ts';
import { fetchImage } from '../../../src/stage0/fetch/fetch.ts';
import { openStore } from '../../../src/state/images/store.ts';

const [, , dataDir = '', embedded = '', reference = ''] = process.argv;
fetchImage(reference, {
  store: openStore(dataDir),
  embedded,
  progress: (event) => void ('what' in event && process.stdout.write(`${event.doneBytes}\n`)),
}).then(
  ({ id }) => void process.stdout.write(`${id}\n`),
  (error: unknown) => {
    process.stdout.write(`${messageOf(error)}\n`);
    process.exitCode = 1;
  },
);
