/** A checked pod for people. */
import { printable } from '../../model/errors.ts';
import type { CheckedPod } from '../../workbench.ts';

const oneLine = (text: string): string => printable(text).replaceAll('\n', ' ');

/** A line for each attachment, then one for each difference: `missing: …`, `changed: … was … is …`. */
export function checkText({ pod, state, attachments }: CheckedPod): string {
  if (attachments.length === 0) return `pod ${pod} (${state}) is attached to no network\n`;
  const lines = attachments.flatMap(({ network, ifName, plugins, check, failure, code, differences }) => [
    `${ifName} = network "${network}": CHECK ${check} (${plugins.join(', ')})`,
    ...(failure === undefined ? [] : [`  ${failure}${code === undefined || failure.includes('CNI code') ? '' : ` (CNI code ${code})`}`]),
    ...differences.map(({ text }) => `  ${text}`),
    ...(differences.length === 0 ? ['  everything is as it was made'] : []),
  ]);
  return `${lines.map(oneLine).join('\n')}\n`;
}
