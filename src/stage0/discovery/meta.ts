/** The meta tags of a page. Loaded when something is discovered: a parser of real HTML is 150 KB. */
import { parse, type DefaultTreeAdapterTypes } from 'parse5';

/** `<meta name="ac-discovery" content="PREFIX TEMPLATE">` */
export interface DiscoveryTag {
  readonly name: 'ac-discovery' | 'ac-discovery-pubkeys';
  /** what names must begin with */
  readonly prefix: string;
  /** of `ac-discovery`: a template; of `ac-discovery-pubkeys`: where keys are */
  readonly target: string;
}

type Node = DefaultTreeAdapterTypes.ChildNode;
const childrenOf = (node: DefaultTreeAdapterTypes.Node): readonly Node[] => ('childNodes' in node ? node.childNodes : []);

/**
 * Discovery tags of the head, in order. What is in the body does not count, however browsers would treat it: others than the
 * owner of a page may write there.
 */
export function discoveryTags(html: string): DiscoveryTag[] {
  const root = childrenOf(parse(html)).find(({ nodeName }) => nodeName === 'html');
  const head = root === undefined ? undefined : childrenOf(root).find(({ nodeName }) => nodeName === 'head');
  return (head === undefined ? [] : childrenOf(head)).flatMap((node): DiscoveryTag[] => {
    if (node.nodeName !== 'meta' || !('attrs' in node)) return [];
    const attribute = (wanted: string): string => node.attrs.find(({ name }) => name === wanted)?.value ?? '';
    const name = attribute('name').toLowerCase();
    const [prefix = '', target, ...rest] = attribute('content').trim().split(/\s+/);
    if ((name !== 'ac-discovery' && name !== 'ac-discovery-pubkeys') || target === undefined || rest.length > 0) return [];
    return [{ name, prefix, target }];
  });
}
