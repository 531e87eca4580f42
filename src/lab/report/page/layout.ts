/** Where the graph's nodes are: two shores, each namespace in one piece, arrows in the water between. Pure. */

export interface Placed {
  readonly index: number;
  readonly x: number;
  readonly y: number;
  readonly isLeft: boolean;
}
export interface Heading {
  readonly text: string;
  readonly x: number;
  readonly y: number;
  readonly isLeft: boolean;
}
export interface Layout {
  readonly width: number;
  readonly height: number;
  readonly nodes: ReadonlyMap<number, Placed>;
  readonly headings: readonly Heading[];
}

const row = 26;
const gap = 34;
export const shores = { width: 960, left: 270, right: 690 } as const;

/** Namespaces go, large ones first, to the shorter shore; who is no pod ends the right one. */
export function layOut(parties: readonly { readonly index: number; readonly namespace: string }[]): Layout {
  const groups = Map.groupBy(parties, ({ namespace }) => namespace);
  const sorted = [...groups].sort(([a, one], [b, other]) => Number(a === '') - Number(b === '') || other.length - one.length || (a < b ? -1 : 1));
  const heights = [0, 0];
  const nodes = new Map<number, Placed>();
  const headings: Heading[] = [];
  for (const [namespace, members] of sorted) {
    // One namespace alone is cut in two, or all its arrows would run on one side.
    const halves = sorted.length <= 2 && namespace !== '' && members.length > 1 && groups.size - Number(groups.has('')) === 1;
    const parts = halves ? [members.slice(0, Math.ceil(members.length / 2)), members.slice(Math.ceil(members.length / 2))] : [members];
    for (const part of parts) {
      const side = (heights[0] ?? 0) <= (heights[1] ?? 0) ? 0 : 1;
      const top = (heights[side] ?? 0) + gap;
      const isLeft = side === 0;
      const x = isLeft ? shores.left : shores.right;
      headings.push({ text: namespace === '' ? 'not pods' : namespace, x, y: top - 12, isLeft });
      for (const [place, { index }] of part.entries()) nodes.set(index, { index, x, y: top + place * row + 8, isLeft });
      heights[side] = top + part.length * row;
    }
  }
  return { width: shores.width, height: Math.max(...heights) + 16, nodes, headings };
}

/** From shore to shore a wave; on one shore a bay, as deep as it is long. */
export function arrowPath(from: Placed, to: Placed, inset: number): string {
  const out = (node: Placed): number => node.x + (node.isLeft ? inset : -inset);
  const [x1, x2] = [out(from), out(to)];
  const pull = from.isLeft === to.isLeft ? Math.min(40 + Math.abs(from.y - to.y) * 0.45, 190) : Math.abs(x2 - x1) / 2;
  const [c1, c2] = [x1 + (from.isLeft ? pull : -pull), x2 + (to.isLeft ? pull : -pull)];
  return `M${x1} ${from.y}C${c1} ${from.y} ${c2} ${to.y} ${x2} ${to.y}`;
}
