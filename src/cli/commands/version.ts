import { defineCommand } from '../command.ts';
import { formatFlag, out, outJson } from '../output.ts';

declare const __VERSION__: string;

export const command = defineCommand({
  name: 'version',
  summary: 'print the versions',
  usage: '[flags]',
  examples: [['rkt version', 'rkt, appc, CNI and Node']],
  flags: { format: formatFlag },
  run({ flags }) {
    const versions = {
      'rkt Version': __VERSION__,
      'appc Version': '0.8.11',
      'CNI Version': '1.1.0',
      'Node Version': process.versions.node,
      'OS/Arch': `${process.platform}/${process.arch}`,
    };
    if (flags.format === undefined)
      out(
        Object.entries(versions)
          .map(([name, value]) => `${name}: ${value}\n`)
          .join(''),
      );
    else outJson(versions, flags.format);
    return 0;
  },
});
