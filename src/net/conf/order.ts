/** The order of `ls` in the C locale: by bytes, not by UTF-16 units and not by the user's language. */
export const byteOrder = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
