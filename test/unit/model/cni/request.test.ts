import { describe, expect, test } from 'vitest';
import { asCniError, formatErrorObject, parseErrorObject } from '../../../../src/model/cni/error-object.ts';
import type { Plugin, PluginContext } from '../../../../src/model/cni/plugin.ts';
import { parseArgs, parseRequest, perform } from '../../../../src/model/cni/request.ts';
import { CniError, cniVersions } from '../../../../src/model/cni/types.ts';

const env = { CNI_COMMAND: 'ADD', CNI_CONTAINERID: 'c1', CNI_NETNS: '/run/netns/x', CNI_IFNAME: 'eth0', CNI_PATH: '/a:/b' };
const conf = '{"cniVersion":"1.0.0","name":"n","type":"t"}';
const refusal = (work: () => unknown): CniError => {
  try {
    work();
  } catch (error) {
    if (error instanceof CniError) return error;
    throw error;
  }
  throw new Error('was not refused');
};

describe('environment', () => {
  test('is parsed', () => {
    const req = parseRequest({ ...env, CNI_ARGS: 'IP=10.0.0.1;K=V' }, conf);
    expect(req).toMatchObject({
      command: 'ADD',
      containerId: 'c1',
      netns: '/run/netns/x',
      ifName: 'eth0',
      path: ['/a', '/b'],
      prevResult: undefined,
    });
    expect([...req.args]).toEqual([
      ['IP', '10.0.0.1'],
      ['K', 'V'],
    ]);
  });
  test.each([
    ['ADD', 'CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH'],
    ['CHECK', 'CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME,CNI_PATH'],
    ['DEL', 'CNI_CONTAINERID,CNI_IFNAME,CNI_PATH'],
    ['GC', 'CNI_PATH'],
    ['STATUS', 'CNI_PATH'],
  ])('X1: %s names all that is missing', (command, names) => {
    expect(refusal(() => parseRequest({ CNI_COMMAND: command }, conf))).toMatchObject({
      cniCode: 4,
      message: `required env variables [${names}] missing`,
    });
  });
  test.each([
    [{ ...env, CNI_COMMAND: 'PURGE' }, 'unknown CNI_COMMAND: PURGE'],
    [{ ...env, CNI_COMMAND: '' }, 'required env variables [CNI_COMMAND] missing'],
    [{ ...env, CNI_CONTAINERID: '../x' }, 'CNI_CONTAINERID'],
    [{ ...env, CNI_IFNAME: 'sixteen-letters-' }, 'CNI_IFNAME'],
    [{ ...env, CNI_ARGS: 'IP' }, 'invalid pair "IP"'],
    [{ ...env, CNI_ARGS: 'A=B;' }, 'invalid pair ""'],
    [{ ...env, CNI_ARGS: 'A=B=C' }, 'invalid pair "A=B=C"'],
  ])('code 4: %j', (bad, message) => {
    expect(refusal(() => parseRequest(bad, conf))).toMatchObject({ cniCode: 4, message: expect.stringContaining(message) as string });
  });
  test('X9: keys are case sensitive, an empty value is one', () =>
    expect([...parseArgs('ip=1;IP=')]).toEqual([
      ['ip', '1'],
      ['IP', ''],
    ]));
});

describe('configuration', () => {
  test.each([
    ['{', 6, 'decode'],
    ['[]', 6, 'object'],
    ['{"name":"n","cniVersion":"1.0.0.0"}', 6, 'cniVersion'],
    ['{"name":"n","cniVersion":1}', 6, 'cniVersion'],
    ['{"cniVersion":"1.0.0"}', 7, 'missing network name'],
    ['{"name":"a/b"}', 7, 'invalid characters'],
    ['{"name":"n","prevResult":[]}', 6, 'must be an object'],
  ])('X2, X3: %s is refused with %i', (text, code, message) => {
    expect(refusal(() => parseRequest(env, text))).toMatchObject({ cniCode: code, message: expect.stringContaining(message) as string });
  });
  test('V5: no version means 0.1.0; X10: keys in any case', () => {
    const req = parseRequest(
      env,
      '{"Name":"n","RuntimeConfig":{"ips":["10.0.0.2"]},"PREVRESULT":{"ip4":{"ip":"10.0.0.2/24"}},"Args":{"CNI":{"a":1}}}',
    );
    expect(req.conf).toMatchObject({ name: 'n', cniVersion: '0.1.0', runtimeConfig: { ips: ['10.0.0.2'] }, args: { cni: { a: 1 } } });
    expect(req.prevResult?.ips).toEqual([{ address: '10.0.0.2/24' }]);
  });
  test('GC: the list is needed, the old name is understood, attachment variables are not', () => {
    const gc = (text: string) => parseRequest({ CNI_COMMAND: 'GC', CNI_PATH: '/a', CNI_CONTAINERID: '' }, `{"cniVersion":"1.1.0","name":"n"${text}}`);
    expect(gc(',"cni.dev/valid-attachments":[]').validAttachments).toEqual([]);
    expect(gc(',"cni.dev/attachments":[{"containerID":"c","ifname":"e"}]').validAttachments).toEqual([{ containerID: 'c', ifname: 'e' }]);
    expect(refusal(() => gc(''))).toMatchObject({ cniCode: 7 });
    expect(refusal(() => gc(',"cni.dev/valid-attachments":[{}]'))).toMatchObject({ cniCode: 7 });
  });
});

describe('verbs', () => {
  const called: string[] = [];
  const verb = (name: string) => (): void => void called.push(name);
  const plugin: Plugin = {
    type: 't',
    versions: cniVersions,
    add: () => ({ cniVersion: '1.1.0' }),
    check: verb('check'),
    del: verb('del'),
    gc: verb('gc'),
    status: verb('status'),
  };
  const context: PluginContext = { delegate: () => undefined, note: () => undefined };
  const run = (command: string, version: string, of = plugin) =>
    perform(
      of,
      parseRequest({ ...env, CNI_COMMAND: command }, JSON.stringify({ cniVersion: version, name: 'n', 'cni.dev/valid-attachments': [] })),
      context,
    );

  test('each is done; only ADD has a result', () => {
    called.length = 0;
    expect(run('ADD', '1.1.0')).toEqual({ cniVersion: '1.1.0' });
    for (const command of ['DEL', 'CHECK', 'GC', 'STATUS']) expect(run(command, '1.1.0')).toBeUndefined();
    expect(called).toEqual(['del', 'check', 'gc', 'status']);
  });
  test.each([
    ['CHECK', '0.3.1'],
    ['GC', '1.0.0'],
    ['STATUS', '1.0.0'],
  ])('X4: %s is not for %s', (command, version) => {
    expect(refusal(() => run(command, version))).toMatchObject({ cniCode: 1, message: `config version does not allow ${command}` });
  });
  test('V4, X3: a version the plugin does not speak', () => {
    expect(refusal(() => run('ADD', '0.3.1', { ...plugin, versions: ['0.4.0', '1.0.0'] }))).toMatchObject({
      cniCode: 1,
      message: 'incompatible CNI versions',
      details: 'config is "0.3.1", plugin supports ["0.4.0","1.0.0"]',
    });
    expect(refusal(() => run('DEL', '2.0.0'))).toMatchObject({ cniCode: 1 });
  });
});

describe('error objects', () => {
  test('P22: written and read back', () => {
    const written = formatErrorObject(new CniError(7, 'bad', 'because'), '1.0.0');
    expect(written).toEqual({ cniVersion: '1.0.0', code: 7, msg: 'bad', details: 'because' });
    expect(parseErrorObject(JSON.stringify(written))).toMatchObject({ cniCode: 7, message: 'bad', details: 'because' });
    expect(formatErrorObject(new CniError(7, 'bad'))).toEqual({ code: 7, msg: 'bad' });
  });
  test('a message without code is internal', () => expect(parseErrorObject('{"Msg":"x"}')).toMatchObject({ cniCode: 999, message: 'x' }));
  test.each(['', 'no', '[]', '{}', '{"ips":[]}', 'null'])('%j is none', (text) => expect(parseErrorObject(text)).toBeUndefined());
  test('X8: what is not typed is internal, and keeps its cause', () => {
    const cause = new TypeError('x');
    expect(asCniError(cause)).toMatchObject({ cniCode: 999, message: 'x', cause });
    expect(asCniError('text').message).toBe('text');
  });
});
