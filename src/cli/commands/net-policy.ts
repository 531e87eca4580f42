import { applyPolicies, explainRunning, explanationsText, listPolicies, removePolicy } from '../../workbench.ts';
import { RuntimeError } from '../../model/errors.ts';
import type { Settings } from '../../model/settings.ts';
import { defineCommand } from '../command.ts';
import { formatFlag, out, outJson } from '../output.ts';
import { renderTable } from '../render/table.ts';
import { settingsFrom } from '../settings.ts';

const usage = (message: string): RuntimeError => new RuntimeError('ERR_CLI_USAGE', message, { hint: 'rkt help net policy shows the forms' });

type Tell = (value: unknown, text: () => string) => void;

/** Operands of each verb, then what it does. */
const verbs: Readonly<
  Record<string, { readonly operands: string; readonly act: (settings: Settings, operands: readonly string[], tell: Tell) => void }>
> = {
  apply: {
    operands: 'PATH',
    act: (settings, [path = ''], tell) => {
      const keys = applyPolicies(settings, path);
      tell(keys, () => keys.map((key) => `${key}\n`).join(''));
    },
  },
  list: {
    operands: '',
    act: (settings, _, tell) => {
      const { policies, pods } = listPolicies(settings);
      tell({ policies, pods }, () => {
        const ofPolicies = policies.map(({ key, file, line, by }) => [key, by.join(','), `${file}:${line}`]);
        const ofPods = pods.map(({ name, uuid, labels, ips }) => [
          name,
          uuid.slice(0, 8),
          Object.entries(labels)
            .map(([key, value]) => `${key}=${value}`)
            .join(','),
          ips.join(','),
        ]);
        return `${renderTable(['POLICY', 'BY', 'WHERE'], ofPolicies)}\n${renderTable(['POD', 'UUID', 'LABELS', 'IP'], ofPods)}`;
      });
    },
  },
  rm: {
    operands: 'NAME',
    act: (settings, [name = ''], tell) => {
      const key = removePolicy(settings, name);
      tell(key, () => `${key}\n`);
    },
  },
  explain: {
    operands: 'SRC DST PORT/PROTO',
    act: (settings, [from = '', to = '', port = ''], tell) => {
      const explanations = explainRunning(settings, from, to, port);
      tell(explanations, () => {
        const counted = explanations.flatMap(({ counters }) =>
          counters.map(({ rule, packets, bytes }) => `  ${rule}: ${packets} packets, ${bytes} bytes\n`),
        );
        const head = counted.length === 0 ? '' : '\nconnections that the kernel counted at the deciding rules:\n';
        return `${explanationsText(explanations)}${head}${[...new Set(counted)].join('')}`;
      });
    },
  },
};

export const command = defineCommand({
  name: 'net policy',
  summary: 'network policies of running pods: apply, list, rm, explain',
  usage: '[flags] apply PATH | list | rm NAME | explain SRC DST PORT/PROTO',
  maxOperands: 4,
  needsRoot: true,
  examples: [
    ['rkt net policy apply ./k8s', 'in force for every pod with --namespace, --label or --policy, those that run included; - is standard input'],
    ['rkt net policy list', 'what is in force, and which pods take part'],
    ['rkt net policy explain shop/web shop/db 5432/TCP', 'the rule that decides, with its line, and how often it did'],
    ['rkt net policy rm shop/db', 'what was applied, no longer'],
  ],
  flags: { format: formatFlag },
  run({ flags, global, operands }) {
    const [word = '', ...rest] = operands;
    const verb = Object.hasOwn(verbs, word) ? verbs[word] : undefined;
    if (verb === undefined) throw usage(word === '' ? 'rkt net policy needs one of: apply, list, rm, explain' : `rkt net policy has no ${word}`);
    const count = verb.operands === '' ? 0 : verb.operands.split(' ').length;
    if (rest.length !== count) throw usage(`rkt net policy ${word} needs ${verb.operands === '' ? 'nothing more' : verb.operands}`);
    verb.act(settingsFrom(global), rest, (value, text) => {
      if (flags.format === undefined) out(text());
      else outJson(value, flags.format);
    });
    return 0;
  },
});
