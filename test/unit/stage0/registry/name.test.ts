import { expect, test } from 'vitest';
import { parseRegistryReference, shownReference } from '../../../../src/stage0/registry/name.ts';

const digest = `sha256:${'ab'.repeat(32)}`;
const parsed = (text: string, registry = 'docker.io') => {
  const { registry: host, repository, tag, digest: pin } = parseRegistryReference(text, registry);
  return [host, repository, tag, pin];
};

test.each([
  ['docker://nginx', 'docker.io', ['docker.io', 'library/nginx', 'latest', undefined]],
  ['docker:nginx', 'docker.io', ['docker.io', 'library/nginx', 'latest', undefined]],
  ['nginx:1.2', 'docker.io', ['docker.io', 'library/nginx', '1.2', undefined]],
  ['docker://team/web', 'docker.io', ['docker.io', 'team/web', 'latest', undefined]],
  ['docker://index.docker.io/nginx', 'example.org', ['docker.io', 'library/nginx', 'latest', undefined]],
  ['docker://nginx', 'example.org', ['example.org', 'nginx', 'latest', undefined]],
  ['docker://team/web', 'example.org:5000', ['example.org:5000', 'team/web', 'latest', undefined]],
  ['docker://localhost/web', 'docker.io', ['localhost', 'web', 'latest', undefined]],
  ['docker://reg:5000/a/b/c:v1', 'docker.io', ['reg:5000', 'a/b/c', 'v1', undefined]],
  ['docker://[::1]:5000/web', 'docker.io', ['[::1]:5000', 'web', 'latest', undefined]],
  [`docker://reg.io/web@${digest}`, 'docker.io', ['reg.io', 'web', undefined, digest]],
  [`docker://reg.io/web:1@${digest}`, 'docker.io', ['reg.io', 'web', '1', digest]],
  ['docker://reg.io/a__b/c--d.e:x', 'docker.io', ['reg.io', 'a__b/c--d.e', 'x', undefined]],
])('%s at %s', (text, registry, expected) => expect(parsed(text, registry)).toEqual(expected));

test.each([
  ['docker://', 'it names no repository'],
  ['docker://reg.io/', 'it names no repository'],
  ['docker://reg.io/Web', 'is no name of a repository'],
  ['docker://a//b', 'is no name'],
  ['docker://../etc', 'is no registry'],
  ['docker://reg.io/web:', 'is no tag'],
  [`docker://reg.io/web:${'x'.repeat(129)}`, 'is no tag'],
  ['docker://reg.io/web@sha256:12', 'is no digest'],
  ['docker://reg.io/web@', 'is no digest'],
  ['docker://user:secret@reg.io/web', 'is no digest'],
  [`docker://reg.io/${'a/'.repeat(200)}a`, 'longer than 255 bytes'],
  ['docker://reg.io:port/web', 'is no registry'],
  ['docker://reg.io/\u001b[31mweb', 'is no name'],
])('%j is refused', (text, message) => {
  expect(() => parsed(text)).toThrow(message);
  // oxlint-disable-next-line no-control-regex -- it is what must not be there
  expect(() => parsed(text)).not.toThrow(/\u001b/);
});

test('shown whole', () => {
  expect(shownReference(parseRegistryReference('nginx', 'docker.io'))).toBe('docker.io/library/nginx:latest');
  expect(shownReference(parseRegistryReference(`r.io/x:1@${digest}`, 'docker.io'))).toBe(`r.io/x:1@${digest}`);
});
