import { RuntimeError } from '../../model/errors.ts';
import { trustPublicKeys } from '../../trust.ts';
import { askYesNo, canAsk } from '../ask.ts';
import { defineCommand } from '../command.ts';
import { err, formatFlag, out, outJson, warn } from '../output.ts';
import { settingsFrom } from '../settings.ts';

const usage = (message: string, hint: string): RuntimeError => new RuntimeError('ERR_CLI_USAGE', message, { hint });

export const command = defineCommand({
  name: 'trust',
  summary: 'trust public key(s): images they sign will be accepted',
  usage: '[flags] [PUBKEY…]',
  maxOperands: Infinity,
  examples: [
    ['rkt trust --prefix=example.com/app', 'the keys that example.com shows, for images below that name, after a look at their fingerprints'],
    ['rkt trust --prefix=example.com ./pubkey.gpg', 'a key you have'],
    ['rkt trust --root https://example.com/pubkey.gpg', 'for images of every name'],
  ],
  flags: {
    prefix: { type: 'string', value: 'PREFIX', help: 'names of images the keys count for: PREFIX itself and what is below' },
    root: { type: 'boolean', help: 'the keys count for every name' },
    'skip-fingerprint-review': { type: 'boolean', help: 'do not ask whether the fingerprint is right' },
    format: { ...formatFlag, help: 'print the trusted keys as JSON; what is to be reviewed goes to standard error' },
    'insecure-allow-http': { type: 'boolean', help: 'pages and keys may come without encryption' },
  },
  async run({ flags, global, operands }) {
    const { prefix, root } = flags;
    const settings = settingsFrom(global);
    if (prefix !== undefined && root) throw usage('--root and --prefix usage mutually exclusive', '--root is for every name, --prefix for some');
    if ((prefix === undefined || prefix === '') && !root)
      throw operands.length > 0
        ? usage('--root required for non-prefixed (root) keys', '--prefix=example.com trusts them for names below example.com only')
        : usage('trust needs --prefix, or --root and a public key', 'rkt trust --prefix=example.com asks example.com for its keys');
    const scheme = /^([a-z][a-z0-9+.-]*:\/\/)/i.exec(prefix ?? '')?.[1];
    if (scheme !== undefined) throw usage(`--prefix must not contain a URL scheme, omit ${scheme}`, `--prefix=${prefix?.slice(scheme.length) ?? ''}`);
    if (root && operands.length === 0)
      throw usage('--root needs public keys: only a prefix can be asked for its own', 'rkt trust --root ./pubkey.gpg, or an https URL');
    const request = {
      prefix,
      locations: operands,
      insecureHttp: flags['insecure-allow-http'],
      skipReview: flags['skip-fingerprint-review'],
    };
    const tell = flags.format === undefined ? out : err;
    const { trusted, refused } = await trustPublicKeys(settings, request, {
      requireAnswers(fingerprints) {
        if (canAsk()) return;
        throw usage(
          `no terminal to review the fingerprint at: ${fingerprints.join(', ')}`,
          '--skip-fingerprint-review trusts without, when you are sure where the key comes from',
        );
      },
      confirm: () => askYesNo('Are you sure you want to trust this key', tell),
      say: (line) => tell(`${line}\n`),
      warn,
    });
    for (const location of refused) err(`not trusting ${JSON.stringify(location)}\n`);
    if (flags.format !== undefined) outJson(trusted, flags.format);
    return refused.length > 0 ? 254 : 0;
  },
});
