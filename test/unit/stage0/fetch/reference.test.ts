import { describe, expect, test } from 'vitest';
import { RuntimeError } from '../../../../src/model/errors.ts';
import { parseReference } from '../../../../src/stage0/fetch/reference.ts';

const parse = (text: string, ...existing: string[]) => parseReference(text, (path) => existing.includes(path));
const path = (transport: string | undefined, where: string, ref?: string) => ({ kind: 'path', transport, path: where, ref });

describe('references', () => {
  test.each([
    ['busybox', [], { kind: 'name', name: 'busybox:latest' }],
    ['quay.io/web:1', [], { kind: 'name', name: 'quay.io/web:1' }],
    ['web', ['web'], { kind: 'name', name: 'web:latest' }],
    ['sha256-abcd', [], { kind: 'id', algorithm: 'sha256', hex: 'abcd' }],
    ['sha256:abcd', ['sha256:abcd'], { kind: 'id', algorithm: 'sha256', hex: 'abcd' }],
    ['sha512-abcd', [], { kind: 'id', algorithm: 'sha512', hex: 'abcd' }],
    ['https://x/y.aci', [], { kind: 'url', url: 'https://x/y.aci' }],
    ['HTTP://x/y', [], { kind: 'url', url: 'HTTP://x/y' }],
    ['file:///images/web.tar', [], path(undefined, '/images/web.tar')],
    ['file://localhost/a%20b.aci', [], path(undefined, '/a b.aci')],
    ['file:a.aci', [], path(undefined, 'a.aci')],
    ['app.aci', [], path(undefined, 'app.aci')],
    [
      'example.com/app:1.0,os=linux',
      [],
      {
        kind: 'aci',
        wanted: {
          name: 'example.com/app',
          labels: new Map([
            ['version', '1.0'],
            ['os', 'linux'],
          ]),
        },
      },
    ],
    ['app,version=1', [], { kind: 'aci', wanted: { name: 'app', labels: new Map([['version', '1']]) } }],
    ['app,version=1', ['app,version=1'], path(undefined, 'app,version=1')],
    ['docker://busybox:1', [], { kind: 'registry' }],
    ['docker:busybox', ['docker:busybox'], { kind: 'registry' }],
    ['oci:dir', [], path('oci', 'dir')],
    ['oci:dir:tag', ['dir'], path('oci', 'dir', 'tag')],
    ['oci:/a/b:tag', [], path('oci', '/a/b', 'tag')],
    ['oci:a:b', ['a:b'], path('oci', 'a:b')],
    ['oci:a:b', ['a:b', 'a'], path('oci', 'a:b')],
    ['oci:a:b:c', ['a:b', 'a'], path('oci', 'a:b', 'c')],
    ['oci:a:', ['a'], path('oci', 'a')],
    ['docker-archive:web.tar:docker.io/web:1', ['web.tar'], path('docker-archive', 'web.tar', 'docker.io/web:1')],
    ['docker-archive:web.tar:@1', [], path('docker-archive', 'web.tar', '@1')],
    ['oci-archive:web.tar', [], path('oci-archive', 'web.tar')],
    ['./web', [], path(undefined, './web')],
    ['./web:1', ['./web'], path(undefined, './web', '1')],
    ['/images/web.tar', [], path(undefined, '/images/web.tar')],
    ['../web', [], path(undefined, '../web')],
    ['.', ['.'], path(undefined, '.')],
    ['web.tar', ['web.tar'], path(undefined, 'web.tar')],
    ['web.tar', [], path(undefined, 'web.tar')],
    ['web.tar:1', ['web.tar'], { kind: 'name', name: 'web.tar:1' }],
    ['My Images/web', ['My Images/web'], path(undefined, 'My Images/web')],
  ])('%s with %j', (text, existing, expected) => expect(parse(text, ...existing)).toEqual(expected));

  test.each([
    ['example.com/app,os=linux,os=linux', [], 'label os is given twice', 'HOST/NAME'],
    ['example.com/app,name=x', [], 'cannot be called', 'HOST/NAME'],
    ['file:', [], 'names no path', 'file:///PATH'],
    ['file:///%zz', [], 'is no file: address', 'the path alone'],
    ['', [], 'empty', 'images come from docker://[REGISTRY/]NAME[:TAG], oci:PATH'],
    ['a\0b', [], 'NUL', undefined],
    ['oci:', [], 'names no path', 'oci:PATH[:REF]'],
    ['oci-archve:web.tar', [], 'no such image source "oci-archve"', 'did you mean oci-archive:?'],
    ['ocii:./web', ['./web'], 'no such image source "ocii"', 'did you mean oci:?'],
    ['dockr-archive:web', ['web'], 'no such image source', 'docker-archive'],
    ['BusyBox', [], 'neither a name nor a path', 'names are lower-case: busybox'],
    ['a b', [], 'neither a name nor a path', 'images come from'],
  ])('%j: %j', (text, existing, message, hint) => {
    let error: unknown;
    try {
      parse(text, ...existing);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(RuntimeError);
    expect(error).toMatchObject({ code: 'ERR_IMAGE_REFERENCE' });
    expect((error as RuntimeError).message).toContain(message);
    if (hint !== undefined) expect((error as RuntimeError).hint).toContain(hint);
  });
});
