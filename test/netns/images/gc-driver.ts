/** Image gc again and again without the start of a process in between, until it is told to end; argv is the data directory. Prints how often. */
import { sleepMs } from '../../../src/host/clock.ts';
import { SIGNAL, pendingSignal, trapSignals } from '../../../src/host/linux.ts';
import { collectImages } from '../../../src/images.ts';

const [, , dataDir = ''] = process.argv;
const settings = {
  dataDir,
  systemConfig: '/nonexistent',
  localConfig: '/nonexistent',
  userConfig: undefined,
  insecure: new Set<never>(),
  trustKeysFromHttps: false,
};
trapSignals(SIGNAL.TERM);
let count = 0;
for (; pendingSignal() === 0; count++) {
  collectImages(settings, { graceMs: 0, dryRun: false });
  sleepMs(2);
}
process.stdout.write(`${count}\n`);
