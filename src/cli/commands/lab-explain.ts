import { explainConnection, explanationsText, openExperiment } from '../../lab/offline.ts';
import { RuntimeError } from '../../model/errors.ts';
import { defineCommand } from '../command.ts';
import { formatFlag, out, outJson } from '../output.ts';

export const command = defineCommand({
  name: 'lab explain',
  summary: 'say why network policies allow or deny a connection: tier, policy, rule, line',
  usage: '[flags] DIR SRC DST PORT/PROTO',
  examples: [
    ['rkt lab explain shop web/front db/postgres 5432/TCP', 'may the front end reach the database, and why'],
    ['rkt lab explain --step=2 shop host web/front http', 'from the host, to a port by its name, after the second step'],
    ['rkt lab explain shop 198.51.100.7 web/front 443', 'from an address outside'],
  ],
  flags: {
    step: { type: 'string', value: 'N', help: 'after the N-th step of the experiment', default: '0' },
    format: formatFlag,
  },
  maxOperands: 4,
  run({ flags, operands }) {
    const [dir, from, to, port] = operands;
    if (dir === undefined || from === undefined || to === undefined || port === undefined)
      throw new RuntimeError('ERR_CLI_USAGE', 'rkt lab explain needs DIR SRC DST PORT/PROTO', {
        hint: 'rkt help lab explain shows examples',
      });
    if (flags.step !== undefined && !/^\d{1,5}$/.test(flags.step))
      throw new RuntimeError('ERR_CLI_USAGE', `--step=${flags.step} is no number`, {
        hint: 'steps are counted from 1; 0 is before the first',
      });
    const explanations = explainConnection(openExperiment(dir), from, to, port, Number(flags.step ?? '0'));
    if (flags.format === undefined) out(explanationsText(explanations));
    else outJson(explanations, flags.format);
    return 0;
  },
});
