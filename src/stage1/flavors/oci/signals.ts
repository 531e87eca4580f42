/** Signal names of image configurations → numbers (the same on x86_64 and aarch64). Pure. */
import { constants } from 'node:os';
import { RuntimeError } from '../../../model/errors.ts';

const SIGTERM = 15;
const SIGRTMIN = 34;
const SIGRTMAX = 64;

/** `SIGQUIT`, `QUIT`, `3`, `SIGRTMIN+3`; '' is SIGTERM. @throws ERR_STAGE1_LAUNCH */
export function stopSignalNumber(app: string, text: string): number {
  const word = text.trim().toUpperCase().replace(/^SIG/, '');
  if (word === '') return SIGTERM;
  const number = numberOf(word);
  if (number < 1 || number > SIGRTMAX)
    throw new RuntimeError('ERR_STAGE1_LAUNCH', `the image of app ${app} names stop signal ${JSON.stringify(text)}, which does not exist`);
  return number;
}

function numberOf(word: string): number {
  if (/^\d+$/.test(word)) return Number(word);
  const realTime = /^RTM(IN|AX)(?:([+-])(\d{1,2}))?$/.exec(word);
  if (realTime !== null) return (realTime[1] === 'IN' ? SIGRTMIN : SIGRTMAX) + Number(`${realTime[2] ?? '+'}${realTime[3] ?? '0'}`);
  return (constants.signals as Readonly<Record<string, number>>)[`SIG${word}`] ?? 0;
}
