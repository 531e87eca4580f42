/** Readiness of a network for people. */
import { printable } from '../../model/errors.ts';
import type { NetworkReadiness } from '../../workbench.ts';

const meaning: Readonly<Record<number, string>> = { 50: 'no pod can join now', 51: 'pods can join, with limited connectivity' };

/** One line for the network, one for each plugin, and what a plugin that refuses says. */
export function readinessText({ name, cniVersion, ready, plugins, problem }: NetworkReadiness): string {
  const lines = [`${name}: ${ready ? 'ready' : 'not ready'}${cniVersion === '' ? '' : ` (CNI ${cniVersion})`}`];
  if (problem !== undefined) lines.push(`  ${problem}`);
  const column = Math.max(0, ...plugins.map(({ type }) => type.length));
  for (const { type, state, code, message, hint } of plugins) {
    const said = state === 'not asked' ? `not asked: CNI ${cniVersion} has no STATUS, it came with 1.1.0` : state;
    const about = code === undefined ? '' : `, code ${code}${meaning[code] === undefined ? '' : ` (${meaning[code]})`}`;
    lines.push(`  ${type.padEnd(column)}  ${said}${about}${message === undefined ? '' : `: ${message}`}`);
    if (hint !== undefined) lines.push(`  ${' '.repeat(column)}  hint: ${hint}`);
  }
  return `${lines.map((line) => printable(line).replaceAll('\n', ' ')).join('\n')}\n`;
}
