import { configurationDocument, loadConfiguration } from '../../trust.ts';
import { defineCommand } from '../command.ts';
import { outJson } from '../output.ts';
import { settingsFrom } from '../settings.ts';

export const command = defineCommand({
  name: 'config',
  summary: 'print the configuration, merged from all its directories',
  usage: '[flags]',
  examples: [['rkt config --user-config=$HOME/.config/rkt', 'what the system, the administrator and you configured, as one document']],
  flags: {
    'pretty-print': { type: 'string', value: 'BOOL', default: 'true', choices: ['true', 'false'], help: 'indent the JSON' },
    'show-secrets': { type: 'boolean', help: 'print passwords, tokens and keys too' },
  },
  run({ flags, global }) {
    const document = configurationDocument(loadConfiguration(settingsFrom(global)), flags['show-secrets']);
    outJson(document, flags['pretty-print'] === 'false' ? 'json' : 'json-pretty');
    return 0;
  },
});
