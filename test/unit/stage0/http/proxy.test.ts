import { expect, test } from 'vitest';
import { proxyFor } from '../../../../src/stage0/http/proxy.ts';

const via = (url: string, env: Record<string, string>) => proxyFor(new URL(url), env)?.url.href;

test.each([
  ['https://example.org/', { HTTPS_PROXY: 'http://p:3128' }, 'http://p:3128/'],
  ['https://example.org/', { https_proxy: 'http://small', HTTPS_PROXY: 'http://large' }, 'http://small/'],
  ['https://example.org/', { HTTP_PROXY: 'http://p' }, undefined],
  ['http://example.org/', { HTTP_PROXY: 'p:3128' }, 'http://p:3128/'],
  ['https://example.org/', { ALL_PROXY: 'https://p' }, 'https://p/'],
  ['https://example.org/', { HTTPS_PROXY: '' }, undefined],
  ['https://127.0.0.1:5000/', { HTTPS_PROXY: 'http://p' }, undefined],
  ['https://[::1]:5000/', { HTTPS_PROXY: 'http://p' }, undefined],
  ['https://localhost/', { HTTPS_PROXY: 'http://p' }, undefined],
  ['https://example.org/', { HTTPS_PROXY: 'http://p', NO_PROXY: '*' }, undefined],
  ['https://a.example.org/', { HTTPS_PROXY: 'http://p', NO_PROXY: 'x, example.org' }, undefined],
  ['https://a.example.org/', { HTTPS_PROXY: 'http://p', no_proxy: '.example.org' }, undefined],
  ['https://notexample.org/', { HTTPS_PROXY: 'http://p', NO_PROXY: 'example.org' }, 'http://p/'],
  ['https://example.org:5000/', { HTTPS_PROXY: 'http://p', NO_PROXY: 'example.org:443' }, 'http://p/'],
  ['https://example.org:5000/', { HTTPS_PROXY: 'http://p', NO_PROXY: 'EXAMPLE.org:5000' }, undefined],
  ['https://10.1.2.3/', { HTTPS_PROXY: 'http://p', NO_PROXY: '10.0.0.0/8' }, undefined],
  ['https://11.1.2.3/', { HTTPS_PROXY: 'http://p', NO_PROXY: '10.0.0.0/8' }, 'http://p/'],
  ['https://[fd00::1]/', { HTTPS_PROXY: 'http://p', NO_PROXY: 'fd00::/8' }, undefined],
  ['https://[fd00::1]/', { HTTPS_PROXY: 'http://p', NO_PROXY: 'fd00::1' }, undefined],
  ['https://[fd00::1]:5000/', { HTTPS_PROXY: 'http://p', NO_PROXY: '[fd00::1]:5000' }, undefined],
])('%s with %j', (url, env, expected) => expect(via(url, env as unknown as Record<string, string>)).toBe(expected));

test.each([
  ['socks5://user:secret@p', 'names a socks5 proxy'],
  ['http://user:secret@:x', 'is no URL'],
])('%s is refused, and no password is shown', (value, message) => {
  expect(() => via('https://example.org', { HTTPS_PROXY: value })).toThrow(`HTTPS_PROXY ${message}`);
  expect(() => via('https://example.org', { HTTPS_PROXY: value })).not.toThrow(/secret/);
});
