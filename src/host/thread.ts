/**
 * Threads of our own: a bundle of dist that runs beside this one and exchanges messages with it. It starts in the namespaces of the
 * calling thread and shares the process's descriptors, working directory and trapped signals.
 */
import { parentPort, Worker } from 'node:worker_threads';
import type { ErrorCode } from '../model/errors.ts';
import { RuntimeError, isRuntimeError, messageOf } from '../model/errors.ts';

declare const __DIST__: string;

/** The other side, as a thread sees it. */
export interface Thread<Sent> {
  post(message: Sent): void;
  /** Ends it, whatever it is doing; what it had open stays open until the process ends. */
  stop(): void;
}

/**
 * Starts `dist/<file>`. It does not keep the process alive.
 * @param ended - it died, which a thread that is not stopped never does by itself
 */
export function startThread<Sent, Received>(file: string, received: (message: Received) => void, ended: (why: string) => void): Thread<Sent> {
  // Descriptors come from our own openat2 as well: Node does not know of them, and has nothing to close. What streams through a thread
  // is garbage at once: a large space for it is only memory.
  const worker = new Worker(`${__DIST__}/${file}`, { trackUnmanagedFds: false, resourceLimits: { maxYoungGenerationSizeMb: 4 } });
  let isStopped = false;
  worker.on('message', received);
  worker.on('error', (error) => ended(messageOf(error)));
  worker.on('exit', (code) => {
    if (!isStopped) ended(`it ended with ${code}`);
  });
  return {
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread has no origin
    post: (message) => worker.postMessage(message),
    stop() {
      isStopped = true;
      void worker.terminate();
    },
  };
}

/** In the thread: takes messages. @returns what answers them */
export function serveThread<Sent, Received>(received: (message: Received) => void): (message: Sent) => void {
  if (parentPort === null) throw new Error('this is no thread of its own');
  const port = parentPort;
  port.on('message', received);
  return (message) => port.postMessage(message);
}

/** An error as a message: what structured cloning would lose of it. */
export interface SentError {
  readonly message: string;
  readonly stack: string | undefined;
  readonly code: string | undefined;
  readonly errno: number | undefined;
  readonly syscall: string | undefined;
  readonly runtime: { readonly hint: string | undefined; readonly details: readonly string[]; readonly exitCode: number } | undefined;
  readonly cause: SentError | undefined;
}

/** @see receivedError */
export function sentError(error: unknown): SentError {
  const of = (key: string): unknown =>
    typeof error === 'object' && error !== null && key in error ? (error as Record<string, unknown>)[key] : undefined;
  const [code, errno, syscall, cause] = ['code', 'errno', 'syscall', 'cause'].map(of);
  return {
    message: messageOf(error),
    stack: error instanceof Error ? error.stack : undefined,
    code: typeof code === 'string' ? code : undefined,
    errno: typeof errno === 'number' ? errno : undefined,
    syscall: typeof syscall === 'string' ? syscall : undefined,
    runtime: isRuntimeError(error) ? { hint: error.hint, details: error.details, exitCode: error.exitCode } : undefined,
    cause: cause === undefined ? undefined : sentError(cause),
  };
}

/** The error that {@link sentError} told of: a RuntimeError, or one that carries code, errno and syscall. */
export function receivedError({ message, stack, code, errno, syscall, runtime, cause }: SentError): Error {
  const inner = cause === undefined ? {} : { cause: receivedError(cause) };
  if (runtime !== undefined) {
    const { hint, details, exitCode } = runtime;
    return new RuntimeError(code as ErrorCode, message, { details, exitCode, ...inner, ...(hint === undefined ? {} : { hint }) });
  }
  const facts = Object.fromEntries(Object.entries({ code, errno, syscall }).filter(([, value]) => value !== undefined));
  const error = Object.assign(new Error(message, inner), facts);
  if (stack !== undefined) error.stack = stack;
  return error;
}
