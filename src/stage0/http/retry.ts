/** When to ask again, and after how long. Pure. @see RFC 9110 10.2.3 (Retry-After) */

export interface RetryPolicy {
  /** requests in all */
  readonly attempts: number;
  /** before the second one; doubled for each further one */
  readonly firstDelayMs: number;
  /** a server that asks for more patience than this is not waited for */
  readonly maxDelayMs: number;
}

export const defaultRetry: RetryPolicy = { attempts: 5, firstDelayMs: 250, maxDelayMs: 60_000 };

/** Statuses of servers that are busy or out of order, and may be well again. */
export const isPassingStatus = (status: number): boolean => [408, 425, 429, 500, 502, 503, 504].includes(status);

/** What a Retry-After header asks for; undefined when it says nothing that can be understood. */
export function retryAfterMs(header: string | undefined, nowMs: number): number | undefined {
  if (header === undefined) return undefined;
  if (/^\s*-?\d+\s*$/.test(header)) return Math.max(0, Number(header)) * 1000;
  const at = Date.parse(header);
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs);
}

/** The wait before request number `attempt` + 1 (`attempt` counts from 1). `random` in [0, 1): many clients do not come back at the same moment. */
export const delayMs = (policy: RetryPolicy, attempt: number, random: number): number =>
  Math.min(policy.maxDelayMs, policy.firstDelayMs * 2 ** (attempt - 1)) * (0.5 + random / 2);
