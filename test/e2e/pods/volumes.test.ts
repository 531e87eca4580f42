/** Volumes as the apps of real pods see them. @see rkt.md 2.8 */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { useHost } from '../../rig/host.ts';
import { Rkt } from '../../rig/rkt.ts';

useHost();
const rkt = new Rkt();
let dir = '';
beforeEach(() => {
  dir = mkdtempSync('/tmp/rkt-volume-');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const sh = (script: string): string[] => ['--exec=/bin/sh', '--', '-c', script];
const lines = (args: readonly string[]): string[] => rkt.ok('run', '--net=none', ...args).trimEnd().split('\n');

describe('a volume of the host', () => {
  test('is written to and read from; read-only it is not; a file and a socket will do', () => {
    mkdirSync(join(dir, 'data'));
    writeFileSync(join(dir, 'file'), 'one file');
    const shown = lines([
      `--volume=data,kind=host,source=${dir}/data`,
      `--volume=ro,kind=host,source=${dir}/data,readOnly=true`,
      `--volume=file,kind=host,source=${dir}/file,readOnly=true`,
      'busybox',
      '--mount=volume=data,target=/srv/deep/data',
      '--mount=volume=ro,target=ro',
      '--mount=volume=file,target=/etc/one.conf',
      ...sh('echo hello > /srv/deep/data/x; cat /ro/x; (echo y > /ro/y) 2>&1; cat /etc/one.conf; echo; stat -c %a /srv/deep; (echo z > /etc/one.conf) 2>&1'),
    ]);
    expect(shown).toEqual(['hello', expect.stringMatching(/\/ro\/y: Read-only/), 'one file', '755', expect.stringMatching(/one.conf: Read-only/)]);
    expect(readFileSync(join(dir, 'data/x'), 'utf8')).toBe('hello\n');
  });
});
