/**
 * What frees a pod's addresses, ports and rules, as data: the supervisor does it when the pod ends, without a start of Node
 * (stage1/flavors/oci/release.c reads what {@link encodeRelease} writes). It is an advance on gc, which undoes the journal all
 * the same. So an operation never has to succeed, but each makes sure that what it removes is the pod's own: by the time a late
 * one comes, the address may be another pod's. Pure. @see DESIGN 3
 */

export type ReleaseOp =
  /** removes each file, if it holds exactly `content` (at most 1024 bytes; undefined: whatever it holds), in this order */
  | {
      readonly op: 'unlink';
      readonly files: readonly { readonly path: string; readonly content?: string }[];
      /** this file is locked (flock) meanwhile; without it nothing is removed */
      readonly lock?: string;
      /** this directory's modification time is put back afterwards */
      readonly dated?: string;
    }
  /** removes nftables elements that carry `comment` (the bytes of their user data); whole netlink messages */
  | {
      readonly op: 'elements';
      readonly comment: Uint8Array;
      readonly elements: readonly { readonly question: Uint8Array; readonly removal: Uint8Array }[];
    }
  /** makes conntrack forget every flow that `dump`, a whole netlink message, lists */
  | { readonly op: 'flows'; readonly dump: Uint8Array }
  /** lets go of the network namespace mounted at `path` */
  | { readonly op: 'unmount'; readonly path: string }
  /** removes directories that are empty (or control groups without processes), in this order */
  | { readonly op: 'rmdir'; readonly paths: readonly string[] }
  /** signals the process whose pid `pidFile` holds, if `argument` is one of its arguments */
  | { readonly op: 'signal'; readonly signal: number; readonly pidFile: string; readonly argument: string }
  /** runs a program; PATH and RKT_* are added to `env` */
  | {
      readonly op: 'run';
      readonly path: string;
      readonly env: Readonly<Record<string, string>>;
      readonly stdin: string;
      /** killed then */
      readonly timeoutMs: number;
    };

/** Numbers of release.c. */
const codes = { unlink: 1, elements: 2, flows: 3, unmount: 4, rmdir: 5, run: 6, signal: 7 } as const satisfies Record<ReleaseOp['op'], number>;
const magic = 'rktrel1\n';

/** Integers are in the machine's order: the file never leaves it. */
const number = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
};
const bytes = (data: Uint8Array): Buffer[] => [number(data.length), Buffer.from(data.buffer, data.byteOffset, data.length)];
const text = (value: string): Buffer[] => bytes(Buffer.from(`${value}\0`));

/** The file `release` of a pod: `magic (code length body)*`; in a body texts (with NUL) and bytes have their length in front. */
export const encodeRelease = (ops: readonly ReleaseOp[]): Buffer =>
  Buffer.concat([
    Buffer.from(magic),
    ...ops.flatMap((op) => {
      const body = Buffer.concat(bodyOf(op));
      return [number(codes[op.op]), number(body.length), body];
    }),
  ]);

function bodyOf(op: ReleaseOp): Buffer[] {
  switch (op.op) {
    case 'unlink':
      return [
        ...text(op.lock ?? ''),
        ...text(op.dated ?? ''),
        ...op.files.flatMap(({ path, content }) => [...text(path), ...bytes(Buffer.from(content ?? ''))]),
      ];
    case 'elements':
      return [...bytes(op.comment), ...op.elements.flatMap(({ question, removal }) => [...bytes(question), ...bytes(removal)])];
    case 'flows':
      return bytes(op.dump);
    case 'unmount':
      return text(op.path);
    case 'rmdir':
      return op.paths.flatMap(text);
    case 'signal':
      return [number(op.signal), ...text(op.pidFile), ...text(op.argument)];
    case 'run':
      return [
        number(op.timeoutMs),
        ...text(op.path),
        ...bytes(Buffer.from(op.stdin)),
        ...Object.entries(op.env).flatMap(([name, value]) => text(`${name}=${value}`)),
      ];
  }
}
