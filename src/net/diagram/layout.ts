/**
 * Picture → boxes and wires on a grid of character cells; text and SVG draw the same scene. Host on top, a trunk down its
 * left side, networks along it, each network's pods to its right. Pure.
 */
import type { Branch, Card, Picture } from './picture.ts';

/** x, y, width and height in cells; the border takes the outermost ones. */
export interface Box {
  readonly kind: 'host' | 'network' | 'pod';
  readonly card: Card;
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}
/** A line along cells, from corner to corner; its ends are on borders. */
export interface Wire {
  readonly points: readonly (readonly [x: number, y: number])[];
  readonly isBroken: boolean;
}
export interface Scene {
  readonly width: number;
  readonly height: number;
  readonly boxes: readonly Box[];
  readonly wires: readonly Wire[];
  /** wrapped; a finding begins at the margin, what continues it is indented */
  readonly notes: readonly string[];
}

const trunkX = 2;
const networkX = 6;
/** between a network and its pods; their trunk is in the middle */
const podGap = 7;
const rowGap = 1;

/** One a cell. */
export const charactersOf = (text: string): string[] => Array.from(text);
const lengthOf = (text: string): number => charactersOf(text).length;
const widthOf = ({ title, lines }: Card): number => Math.max(lengthOf(title) + 1, ...lines.map(({ text }) => lengthOf(text))) + 4;
const heightOf = ({ lines }: Card): number => Math.max(1, lines.length) + 2;
const widest = (cards: readonly Card[]): number => Math.max(0, ...cards.map(widthOf));

export function layOut({ host, branches, findings }: Picture): Scene {
  const networkWidth = widest(branches.map(({ card }) => card));
  const podX = networkX + networkWidth + podGap;
  const podWidth = widest(branches.flatMap(({ pods }) => pods));
  const boxes: Box[] = [];
  const wires: Wire[] = [];
  const hostBox: Box = { kind: 'host', card: host, x: 0, y: 0, width: Math.max(widthOf(host), networkX + networkWidth), height: heightOf(host) };
  let y = hostBox.height + rowGap;
  const trunkRows: number[] = [];
  for (const branch of branches) {
    const block = placeBranch(branch, { y, networkWidth, podX, podWidth });
    boxes.push(...block.boxes);
    wires.push(...block.wires);
    if (branch.isConnected) {
      trunkRows.push(y + 1);
      wires.push({
        points: [
          [trunkX, y + 1],
          [networkX, y + 1],
        ],
        isBroken: host.state === 'broken' && branch.isRouted,
      });
    }
    y = Math.max(...block.boxes.map((box) => box.y + box.height)) + rowGap;
  }
  const lastRow = trunkRows.at(-1);
  if (lastRow !== undefined)
    wires.push({
      points: [
        [trunkX, hostBox.height - 1],
        [trunkX, lastRow],
      ],
      isBroken: host.state === 'broken',
    });
  const all = [hostBox, ...boxes];
  const noteWidth = Math.max(78, ...all.map((box) => box.x + box.width - 2));
  return {
    width: Math.max(...all.map((box) => box.x + box.width)),
    height: Math.max(...all.map((box) => box.y + box.height)),
    boxes: all,
    wires,
    notes: findings.flatMap((finding) => wrap(finding, noteWidth)),
  };
}

function placeBranch(
  { card, pods }: Branch,
  at: { readonly y: number; readonly networkWidth: number; readonly podX: number; readonly podWidth: number },
): { boxes: Box[]; wires: Wire[] } {
  const network: Box = { kind: 'network', card, x: networkX, y: at.y, width: at.networkWidth, height: heightOf(card) };
  const boxes = [network];
  const wires: Wire[] = [];
  const right = networkX + at.networkWidth - 1;
  const middle = right + Math.ceil(podGap / 2);
  let { y } = at;
  for (const pod of pods) {
    const box: Box = { kind: 'pod', card: pod, x: at.podX, y, width: at.podWidth, height: heightOf(pod) };
    boxes.push(box);
    wires.push({
      points: [
        [middle, y + 1],
        [at.podX, y + 1],
      ],
      isBroken: pod.state === 'broken',
    });
    y += box.height + rowGap;
  }
  const last = boxes.at(-1);
  // All pods share it: it is broken when the network is.
  if (last !== network && last !== undefined)
    wires.push({
      points: [
        [right, at.y + 1],
        [middle, at.y + 1],
        [middle, last.y + 1],
      ],
      isBroken: card.state === 'broken',
    });
  return { boxes, wires };
}

/** Lines of at most `width`; those after the first are indented as far as the mark before the first. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && lengthOf(line) + 1 + lengthOf(word) > width) {
      lines.push(line);
      line = `  ${word}`;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}

/** A line of {@link Scene.notes} as it is shown: findings carry the mark of what is broken. */
export const markedNote = (note: string): string => (note.startsWith('cure: ') || note.startsWith('  ') ? note : `✗ ${note}`);
