import { describe, expect, test } from 'vitest';
import { parseAciName, type AciName } from '../../../../src/model/aci-name.ts';
import { discoveryTags } from '../../../../src/stage0/discovery/meta.ts';
import { completeLabels, expandTemplate } from '../../../../src/stage0/discovery/template.ts';
import { authorizationFor } from '../../../../src/stage0/http/authorization.ts';

const named = (text: string): AciName => {
  const parsed = parseAciName(text);
  if (typeof parsed === 'string') throw new Error(parsed);
  return parsed;
};

describe('names of ACIs', () => {
  test.each([
    ['example.com/app', 'example.com/app', {}],
    ['example.com/a-b/c_d~e:1.0.0-rc.1+git', 'example.com/a-b/c_d~e', { version: '1.0.0-rc.1+git' }],
    ['example.com/app,os=linux,arch=amd64', 'example.com/app', { os: 'linux', arch: 'amd64' }],
    ['example.com/app:2,channel=a:b=c', 'example.com/app', { version: '2', channel: 'a:b=c' }],
  ])('%s', (text, name, labels) => {
    expect(named(text).name).toBe(name);
    expect(Object.fromEntries(named(text).labels)).toEqual(labels);
  });
  test.each([
    ['', '"" is no name'],
    ['Example.com/app', '"Example.com/app" is no name'],
    ['example.com//app', 'is no name'],
    ['example.com/../x', 'is no name'],
    ['example.com/app:', 'label version has no value'],
    ['example.com/app,os', 'label os has no value'],
    ['example.com/app,=x', '"" is no name of a label'],
    ['example.com/app:1,version=2', 'label version is given twice'],
    ['example.com/app,name=x', 'a label cannot be called "name"'],
  ])('%s is none', (text, why) => expect(parseAciName(text)).toContain(why));
});

describe('templates', () => {
  const expand = (template: string, text: string) => expandTemplate(template, named(text).name, completeLabels(named(text), 'x64'));
  test('what the name does not say is this machine and the latest version', () => {
    expect(expand('https://s.example/{os}/{arch}/{name}-{version}.{ext}?x=1', 'example.com/app')).toEqual({
      aci: 'https://s.example/linux/amd64/example.com/app-latest.aci?x=1',
      signature: 'https://s.example/linux/amd64/example.com/app-latest.aci.asc?x=1',
    });
  });
  test("the user's labels win, further ones may be asked for", () => {
    expect(expand('https://s.example/{channel}/{arch}-{version}.{ext}', 'e.com/app:1.2,arch=aarch64,channel=beta')?.aci).toBe(
      'https://s.example/beta/aarch64-1.2.aci',
    );
    expect(expand('https://s.example/{channel}/{name}.{ext}', 'e.com/app')).toBeUndefined();
    expect(expand('https://s.example/{}/{constructor}.{ext}', 'e.com/app')).toBeUndefined();
  });
  test('a value cannot leave its place', () => {
    expect(expand('https://s.example/{name}-{version}.{ext}', 'e.com/app:1?x=@evil/#%2e')?.aci).toBe(
      'https://s.example/e.com/app-1%3Fx%3D%40evil/%23%252e.aci',
    );
    expect(expand('https://{version}/x.{ext}', 'e.com/app:{name}')?.aci).toBe('https://%7Bname%7D/x.aci');
  });
  test.each([
    ['arm64', 'aarch64'],
    ['x64', 'amd64'],
    ['riscv64', 'riscv64'],
  ])('%s is %s', (arch, label) => expect(completeLabels(named('a.b/c'), arch).get('arch')).toBe(label));
});

describe('meta tags', () => {
  const tags = (html: string) => discoveryTags(html).map(({ name, prefix, target }) => `${name} ${prefix} ${target}`);
  const one = '<meta name="ac-discovery" content="e.com https://e.com/{name}.{ext}">';
  const found = 'ac-discovery e.com https://e.com/{name}.{ext}';
  test.each([
    ['a whole page', `<!doctype html><html><head><title>x</title>${one}</head><body></body></html>`, [found]],
    ['no html, no head', one, [found]],
    [
      'capitals, single quotes, other attributes, white space',
      `<META id=x CONTENT=' e.com\n\thttps://e.com/{name}.{ext} ' Name='AC-Discovery' />`,
      [found],
    ],
    [
      'entities',
      '<meta name="ac-discovery" content="e.com https://e.com/?a=1&amp;n={name}.{ext}">',
      ['ac-discovery e.com https://e.com/?a=1&n={name}.{ext}'],
    ],
    [
      'both kinds, in order',
      `${one}<meta name="ac-discovery-pubkeys" content="e.com https://e.com/k">${one}`,
      [found, 'ac-discovery-pubkeys e.com https://e.com/k', found],
    ],
    ['in a comment', `<head><!-- ${one} --></head>`, []],
    ['in a script', `<head><script>document.write('${one}')</script></head>`, []],
    ['in a title', `<head><title>${one}</title></head>`, []],
    ['in a template', `<head><template>${one}</template></head>`, []],
    ['in the body', `<head></head><body>${one}</body>`, []],
    ['in a body nobody opened', `<p>hello</p>${one}`, []],
    ['in noscript', `<head><noscript>${one}</noscript></head>`, []],
    ['three words', '<meta name="ac-discovery" content="e.com https://e.com/x y">', []],
    ['one word', '<meta name="ac-discovery" content="e.com">', []],
    ['another name', '<meta name="go-import" content="e.com git https://e.com/x">', []],
    ['nothing', '', []],
    ['not HTML', '\u0000\u0001{"a":1}', []],
  ])('%s', (_, html, wanted) => expect(tags(html)).toEqual(wanted));
  test('deep nesting', () => expect(tags(`${one}${'<div>'.repeat(50_000)}`)).toEqual([found]));
});

describe('authorization', () => {
  const url = new URL('https://examplebucket.s3.amazonaws.com/');
  const at = new Date('2013-05-24T00:00:00Z');
  const aws = {
    kind: 'aws',
    accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
    secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
    region: undefined,
    source: '',
  } as const;
  // The examples of Amazon's documentation, "Authenticating Requests: Using the Authorization Header".
  test.each([
    ['?lifecycle', 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543'],
    ['?max-keys=2&prefix=J', '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7'],
  ])('AWS %s', (query, signature) => {
    const { authorization, headers } = authorizationFor(aws, new URL(query, url), at);
    expect(authorization).toBe(
      `AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=${signature}`,
    );
    expect(headers?.['x-amz-date']).toBe('20130524T000000Z');
  });
  test('basic, bearer, none', () => {
    expect(authorizationFor({ kind: 'basic', user: 'u', password: 'p:ü', source: '' }, url, at)).toEqual({ authorization: 'Basic dTpwOsO8' });
    expect(authorizationFor({ kind: 'bearer', token: 't', source: '' }, url, at)).toEqual({ authorization: 'Bearer t' });
    expect(authorizationFor({ kind: 'identity', token: 't', source: '' }, url, at)).toEqual({});
    expect(authorizationFor(undefined, url, at)).toEqual({});
    const token = { kind: 'bearer', token: 't', source: '' } as const;
    for (const text of ['http://example.com/', 'http://10.0.0.1:443/'])
      for (const credential of [token, aws]) expect(authorizationFor(credential, new URL(text), at)).toEqual({});
    expect(authorizationFor(token, new URL('http://127.0.0.1:8080/'), at)).toEqual({ authorization: 'Bearer t' });
  });
});
