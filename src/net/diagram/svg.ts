/** Scene → one self-contained SVG: no scripts, no links, no fonts from elsewhere; light and dark as the reader's system has it. Pure. */
import { charactersOf, markedNote, type Box, type Scene, type Wire } from './layout.ts';
import type { Line } from './picture.ts';

/** Pixels of a cell: a monospaced font of 13 px needs 7.8 across. */
const cell = { width: 8, height: 22 } as const;
const margin = 20;
const fontPx = 13;

const escaped = (text: string): string => text.replace(/[&<>"']/g, (char) => `&#${char.codePointAt(0) ?? 0};`);
const px = (value: number): string => String(Math.round(value * 10) / 10);

const style = `
  .page{fill:#fbfbfa} text{font:${fontPx}px ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,"Liberation Mono",monospace;fill:#1f2328;white-space:pre}
  .title{font-weight:600} .faint{fill:#6e7781} .bad{fill:#c4232b;font-weight:600} .note{fill:#c4232b}
  .box{fill:#ffffff;stroke-width:1.5} .host{stroke:#57606a} .network{stroke:#3b6fd4} .pod{stroke:#2b8a57}
  .broken{stroke:#c4232b;stroke-width:2} .ended{stroke:#a5acb3;stroke-dasharray:5 4}
  .bar{stroke:none} .bar.host{fill:#57606a22} .bar.network{fill:#3b6fd422} .bar.pod{fill:#2b8a5722} .bar.broken{fill:#c4232b1c} .bar.ended{fill:#8c959f1a}
  .wire{fill:none;stroke:#8c959f;stroke-width:1.5;stroke-linejoin:round} .wire.broken{stroke:#c4232b;stroke-dasharray:6 4}
  @media (prefers-color-scheme:dark){
    .page{fill:#16191d} text{fill:#e6e8ea} .faint{fill:#98a1aa} .bad,.note{fill:#ff7b72} .box{fill:#1e2329}
    .host{stroke:#98a1aa} .network{stroke:#79a5f7} .pod{stroke:#56c288} .broken{stroke:#ff7b72} .ended{stroke:#6e7781}
    .bar.host{fill:#98a1aa22} .bar.network{fill:#79a5f722} .bar.pod{fill:#56c28822} .bar.broken{fill:#ff7b7222} .wire.broken{stroke:#ff7b72}
  }`;

/** Middle of a cell. */
const at = (x: number, y: number): readonly [number, number] => [margin + (x + 0.5) * cell.width, margin + (y + 0.5) * cell.height];

function text(x: number, y: number, content: string, kind: string): string {
  const baseline = margin + (y + 0.5) * cell.height + fontPx * 0.36;
  return `<text xml:space="preserve" x="${px(margin + x * cell.width)}" y="${px(baseline)}"${kind === '' ? '' : ` class="${kind}"`}>${escaped(content)}</text>`;
}

const classOf = ({ tone }: Line): string => (tone === 'plain' ? '' : tone);

function drawBox({ kind, card, x, y, width, height }: Box): string {
  const [left, top] = at(x, y);
  const [right, bottom] = at(x + width - 1, y + height - 1);
  const state = card.state === 'fine' ? '' : ` ${card.state}`;
  // The title has a bar of its own: the first row, and half of the border's cell around it.
  const barTop = top - cell.height * 0.45;
  const barBottom = top + cell.height * 0.55;
  return [
    `<rect class="box ${kind}${state}" x="${px(left)}" y="${px(barTop)}" width="${px(right - left)}" height="${px(bottom - barTop)}" rx="7"/>`,
    `<path class="bar ${kind}${state}" d="M${px(left)} ${px(barBottom)}V${px(barTop + 7)}q0 -7 7 -7H${px(right - 7)}q7 0 7 7V${px(barBottom)}z"/>`,
    text(x + 2, y, card.title, card.state === 'ended' ? 'title faint' : 'title'),
    ...card.lines.map((line, i) => text(x + 2, y + 1.1 + i, line.text, classOf(line))),
  ].join('\n');
}

function drawWire({ points, isBroken }: Wire): string {
  const path = points.map(([x, y], i) => `${i === 0 ? 'M' : 'L'}${at(x, y).map(px).join(' ')}`).join('');
  return `<path class="wire${isBroken ? ' broken' : ''}" d="${path}"/>`;
}

export function renderSvg({ width, height, boxes, wires, notes }: Scene): string {
  const cells = Math.max(width, ...notes.map((note) => charactersOf(note).length + 2));
  const rows = height + (notes.length === 0 ? 0 : notes.length + 1);
  const [pixelWidth, pixelHeight] = [cells * cell.width + 2 * margin, rows * cell.height + 2 * margin];
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" width="${pixelWidth}" height="${pixelHeight}" viewBox="0 0 ${pixelWidth} ${pixelHeight}" role="img">`,
    '<title>pods and their networks</title>',
    `<style>${style}\n</style>`,
    `<rect class="page" width="${pixelWidth}" height="${pixelHeight}"/>`,
    // Intact wires last: where they share a path with a broken one, something still gets through.
    ...[...wires].sort((a, b) => Number(b.isBroken) - Number(a.isBroken)).map(drawWire),
    ...boxes.map(drawBox),
    ...notes.map((note, i) => text(0, height + 1 + i, markedNote(note), note.startsWith('cure: ') ? 'title' : 'note')),
    '</svg>',
  ].join('\n')}\n`;
}
