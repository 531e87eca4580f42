/** Scene → text with box-drawing characters. Pure. */
import { charactersOf, markedNote, type Box, type Scene, type Wire } from './layout.ts';

const NORTH = 1;
const EAST = 2;
const SOUTH = 4;
const WEST = 8;
/** By which sides a cell's line leaves it. */
const glyphs = ' ╵╶└╷│┌├╴┘─┴┐┤┬┼';

class Canvas {
  readonly #lines: number[][];
  readonly #texts: string[][];
  constructor(width: number, height: number) {
    this.#lines = Array.from({ length: height }, () => Array.from({ length: width }, () => 0));
    this.#texts = Array.from({ length: height }, () => Array.from({ length: width }, () => ''));
  }

  /** A straight line that joins what it meets. */
  line([x1, y1]: readonly [number, number], [x2, y2]: readonly [number, number]): void {
    const [dx, dy] = [Math.sign(x2 - x1), Math.sign(y2 - y1)];
    const [ahead, behind] = dx > 0 ? [EAST, WEST] : dx < 0 ? [WEST, EAST] : dy > 0 ? [SOUTH, NORTH] : [NORTH, SOUTH];
    for (let x = x1, y = y1; x !== x2 || y !== y2; x += dx, y += dy) {
      this.#join(x, y, ahead);
      this.#join(x + dx, y + dy, behind);
    }
  }
  write(x: number, y: number, text: string): void {
    const row = this.#texts[y];
    for (const [i, char] of charactersOf(text).entries()) if (row !== undefined) row[x + i] = char;
  }
  toString(): string {
    return this.#lines
      .map((row, y) =>
        row
          .map((mask, x) => this.#texts[y]?.[x] || (glyphs[mask] ?? ' '))
          .join('')
          .trimEnd(),
      )
      .join('\n');
  }
  #join(x: number, y: number, side: number): void {
    const row = this.#lines[y];
    if (row !== undefined) row[x] = (row[x] ?? 0) | side;
  }
}

function drawBox(canvas: Canvas, { x, y, width, height, card }: Box): void {
  const [right, bottom] = [x + width - 1, y + height - 1];
  canvas.line([x, y], [right, y]);
  canvas.line([right, y], [right, bottom]);
  canvas.line([right, bottom], [x, bottom]);
  canvas.line([x, bottom], [x, y]);
  canvas.write(x + 1, y, ` ${card.title} `);
  for (const [i, line] of card.lines.entries()) canvas.write(x + 2, y + 1 + i, line.text);
}

function drawWire(canvas: Canvas, { points, isBroken }: Wire): void {
  for (const [i, point] of points.entries()) {
    const next = points[i + 1];
    if (next !== undefined) canvas.line(point, next);
  }
  const [x, y] = points.at(-1) ?? [0, 0];
  const [beforeX] = points.at(-2) ?? [0, 0];
  if (isBroken && beforeX < x) canvas.write(x - 1, y, '✗');
}

/** Lines end with the last thing drawn on them; what is broken carries a ✗. */
export function renderText(scene: Scene): string {
  const canvas = new Canvas(scene.width, scene.height);
  for (const box of scene.boxes) drawBox(canvas, box);
  for (const wire of scene.wires) drawWire(canvas, wire);
  const notes = scene.notes.map(markedNote);
  return `${[canvas.toString(), ...(notes.length === 0 ? [] : ['', ...notes])].join('\n')}\n`;
}
