/** Removing an attachment's elements and flows, as messages for a supervisor to send when the pod has ended. Pure. @see model/release.ts */
import { formatMessage } from 'netlink/dist/structs.js';
import type { ReleaseOp } from '../../model/release.ts';
import { type Element, table } from '../../model/ruleset.ts';
import { type Message, elementComment, encodeOperation, getElementRequest } from './codec.ts';
import { type PublishedUdp, flowsOfRequest } from './conntrack.ts';

const whole = (message: Message): Buffer =>
  Buffer.concat(formatMessage({ type: message.type, flags: message.flags, seq: 0, port: 0, data: message.body }));

/** `elements` are one attachment's: one comment. */
export function releaseElements(elements: readonly Element[]): ReleaseOp[] {
  const [first] = elements;
  if (first === undefined) return [];
  return [
    {
      op: 'elements',
      comment: elementComment(first.comment),
      elements: elements.map((element) => ({
        question: whole(getElementRequest(table.name, element)),
        removal: whole(encodeOperation({ op: 'delete-element', table: table.name, element })),
      })),
    },
  ];
}

/** UDP flows of the pods that `ports` lead to, for after {@link releaseElements}. One dump a pod address, however many ports: each is a walk over all of conntrack. */
export const releaseFlows = (ports: readonly PublishedUdp[]): ReleaseOp[] =>
  [...new Map(ports.map(({ pod }) => [pod.text, pod])).values()].map((pod) => ({ op: 'flows', dump: whole(flowsOfRequest(pod)) }));
