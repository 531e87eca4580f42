/**
 * Signals that arrive in asynchronous work: remembered, so that what is open is closed in order on the way out. Not Node's own
 * handlers: they would wait for the event loop, and unpacking a local image does not come back to it.
 */
import { RuntimeError } from '../model/errors.ts';
import { SIGNAL, pendingSignal, releaseSignals, trapSignals } from './linux.ts';

/** How soon a wait for the network hears of a signal. */
const pollMs = 50;

/** For loops that do not wait. Without {@link interruptible} around them a signal has ended the process already. @throws ERR_INTERRUPTED */
export function refuseInterrupted(): void {
  const signal = pendingSignal();
  if (signal !== 0) throw new RuntimeError('ERR_INTERRUPTED', `stopped by signal ${signal}`, { exitCode: 128 + signal });
}

/**
 * Does `work`; HUP, INT and TERM abort its signal, and when all that it has begun has ended, this throws, whatever came of the work.
 * Not to be nested. @throws ERR_INTERRUPTED
 */
export async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const stop = new AbortController();
  trapSignals(SIGNAL.HUP, SIGNAL.INT, SIGNAL.TERM);
  const timer = setInterval(() => {
    if (pendingSignal() !== 0) stop.abort();
  }, pollMs);
  timer.unref();
  try {
    const result = await work(stop.signal);
    releaseSignals();
    refuseInterrupted();
    return result;
  } catch (error) {
    releaseSignals();
    // What failed then did because of the signal.
    refuseInterrupted();
    throw error;
  } finally {
    clearInterval(timer);
  }
}
