/** What registries say about an error. @see OCI distribution-spec 1.1 "Error Codes" */
import * as z from 'zod/mini';
import { printable } from '../../model/errors.ts';

const errorBody = z.object({
  errors: z.optional(z.array(z.object({ code: z.optional(z.unknown()), message: z.optional(z.unknown()) }))),
  details: z.optional(z.string()),
  error_description: z.optional(z.string()),
});
const maxShown = 200;

/** `: NAME_UNKNOWN, repository name not known to registry`; empty when the body tells nothing. */
export function reasonIn(body: Uint8Array): string {
  let parsed: z.infer<typeof errorBody> | undefined;
  try {
    parsed = errorBody.safeParse(JSON.parse(Buffer.from(body).toString())).data;
  } catch (error) {
    if (error instanceof SyntaxError) return '';
    throw error;
  }
  const [first] = parsed?.errors ?? [];
  const words = [first?.code, first?.message, parsed?.details, parsed?.error_description].filter((word) => typeof word === 'string' && word !== '');
  const text = printable(words.join(', ')).replace(/\s+/g, ' ');
  return text === '' ? '' : `: ${text.length > maxShown ? `${text.slice(0, maxShown)}…` : text}`;
}
