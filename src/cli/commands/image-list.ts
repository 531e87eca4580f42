import { listImages } from '../../images.ts';
import { RuntimeError } from '../../model/errors.ts';
import { didYouMean } from '../../model/ids.ts';
import { defineCommand } from '../command.ts';
import { formatFlag, out, outJson } from '../output.ts';
import { defaultFields, fieldText, headersOf, imageFields, imageJson, sortFields, sorted } from '../render/image.ts';
import { renderTable } from '../render/table.ts';
import { settingsFrom } from '../settings.ts';

/** `a,b`, in any case. @throws ERR_CLI_USAGE listing what is unknown or there twice */
function fieldList<F extends string>(flag: string, text: string, known: readonly F[]): F[] {
  const words = text.split(',').map((word) => word.trim().toLowerCase());
  const faults = words.flatMap((word, i) => {
    if (words.indexOf(word) !== i) return [`--${flag}: duplicated field "${word}"`];
    if ((known as readonly string[]).includes(word)) return [];
    const meant = didYouMean(word, known);
    return [`--${flag}: unknown field "${word}"${meant === undefined ? '' : ` (did you mean ${meant}?)`}`];
  });
  if (faults.length > 0)
    throw new RuntimeError('ERR_CLI_USAGE', faults[0] ?? '', { details: faults.slice(1), hint: `the fields are ${known.join(', ')}` });
  return words as F[];
}

export const command = defineCommand({
  name: 'image list',
  summary: 'list images in the store',
  usage: '[flags]',
  examples: [
    ['rkt image list --sort=lastused', 'what image gc would take first'],
    ['rkt image list --fields=id,size --full --no-legend', 'whole IDs and bytes'],
    ['rkt image list --format=json', 'for programs; times in nanoseconds'],
  ],
  flags: {
    fields: {
      type: 'string',
      value: 'FIELD,…',
      default: 'id,name,size,importtime,lastused',
      help: 'columns, in this order; names: every name it can be run by',
    },
    sort: { type: 'string', value: 'FIELD,…', default: 'importtime', help: 'sort by name, importtime, lastused, size' },
    order: { type: 'string', value: 'ORDER', default: 'asc', choices: ['asc', 'desc'], help: 'which end comes first' },
    full: { type: 'boolean', help: 'whole IDs, bytes and absolute times' },
    'no-legend': { type: 'boolean', help: 'no header' },
    format: formatFlag,
  },
  run({ flags, global }) {
    const fields = fieldList('fields', flags.fields ?? defaultFields.join(','), imageFields);
    const by = fieldList('sort', flags.sort ?? 'importtime', sortFields);
    const images = sorted(listImages(settingsFrom(global)), by, flags.order === 'desc');
    if (flags.format !== undefined) {
      outJson(images.map(imageJson), flags.format);
      return 0;
    }
    const nowMs = Date.now();
    const rows = images.map((facts) => fields.map((field) => fieldText(facts, field, flags.full, nowMs)));
    out(renderTable(flags['no-legend'] ? undefined : headersOf(fields), rows));
    return 0;
  },
});
