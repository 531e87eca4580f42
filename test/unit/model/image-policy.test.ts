import { describe, expect, test } from 'vitest';
import { decide, readPolicy, type PolicySubject } from '../../../src/model/image-policy.ts';

const accept = [{ type: 'insecureAcceptAnything' }];
const reject = [{ type: 'reject' }];
const signed = [{ type: 'signedBy', keyType: 'GPGKeys', keyPath: '/k' }];
const docker = (place: string, ref = ':latest'): PolicySubject => ({ transport: 'docker', place, ref });
const oci = (place: string, ref = ''): PolicySubject => ({ transport: 'oci', place, ref });

function asked(value: unknown, subject: PolicySubject): string {
  const { policy, faults } = readPolicy(value);
  expect(faults).toEqual([]);
  const decision = decide(policy, subject);
  return decision.accepted ? 'accepted' : `${decision.rule} by ${decision.scope}`;
}

describe('the longest scope wins', () => {
  const policy = {
    default: reject,
    transports: {
      docker: {
        '': signed,
        'docker.io': accept,
        'docker.io/library/evil': reject,
        'docker.io/library/evil:good': accept,
        'docker.io/library/evil@sha256:00': accept,
        '*.example.com': accept,
        '*.a.example.com': reject,
        'b.a.example.com': accept,
        'reg.test:5000/team': accept,
      },
      oci: { '/srv/images': accept, '/srv/images/bad': reject, '/srv/images/bad:ok': accept },
      'docker-archive': { '': accept },
    },
  };
  test.each<[PolicySubject, string]>([
    [docker('docker.io/library/nginx'), 'accepted'],
    [docker('docker.io/library/evil'), 'reject by docker docker.io/library/evil'],
    [docker('docker.io/library/evil', ':good'), 'accepted'],
    [docker('docker.io/library/evil', '@sha256:00'), 'accepted'],
    [docker('docker.io/library/evil', '@sha256:01'), 'reject by docker docker.io/library/evil'],
    [docker('docker.io/library/evil2'), 'accepted'],
    [docker('docker.io.evil/x'), 'signedBy by docker, any'],
    [docker('x.example.com/y'), 'accepted'],
    [docker('x.a.example.com/y'), 'reject by docker *.a.example.com'],
    [docker('b.a.example.com/y'), 'accepted'],
    [docker('example.com/y'), 'signedBy by docker, any'],
    [docker('evilexample.com/y'), 'signedBy by docker, any'],
    [docker('reg.test:5000/team/app'), 'accepted'],
    [docker('reg.test:5000/teams/app'), 'signedBy by docker, any'],
    [docker('reg.test/team/app'), 'signedBy by docker, any'],
    [oci('/srv/images/a/b', ':x'), 'accepted'],
    [oci('/srv/images/bad', ':x'), 'reject by oci /srv/images/bad'],
    [oci('/srv/images/bad', ':ok'), 'accepted'],
    [oci('/srv/images2'), 'reject by default'],
    [oci('/srv'), 'reject by default'],
    [{ transport: 'docker-archive', place: '/x.tar', ref: '' }, 'accepted'],
    [{ transport: 'dir', place: '/srv/images', ref: '' }, 'reject by default'],
  ])('%j', (subject, wanted) => expect(asked(policy, subject)).toBe(wanted));
});

test('every rule of a list must hold', () => {
  expect(asked({ default: [...accept, ...accept] }, oci('/a'))).toBe('accepted');
  expect(asked({ default: [...accept, ...reject] }, oci('/a'))).toBe('reject by default');
  expect(asked({ default: [...accept, { type: 'sigstoreSigned' }] }, oci('/a'))).toBe('sigstoreSigned by default');
});

test('every fault', () => {
  const faults = (value: unknown) => readPolicy(value).faults.map(({ path, message }) => `${path.join('.')}: ${message}`);
  expect(faults([])).toEqual([': must be an object']);
  expect(faults({})).toEqual(['default: is missing; must be a list of rules']);
  expect(faults({ default: [], transport: {}, transports: [] })).toEqual([
    'transport: is unknown: a policy has default and transports',
    'transports: must be an object',
    'default: must be a list of at least one rule',
  ]);
  expect(
    faults({
      default: [{ type: 'accept' }, 'reject', { type: 'toString' }, { type: 'reject', keyPath: '/x' }],
      transports: {
        docker: { 'https://docker.io': reject, 'docker.io/': reject },
        oci: { 'a/b': reject, '/a/': reject, '/': reject, '/a/../b': reject },
        'docker-archive': { '/x.tar': reject },
        dir: [],
        atomic: { anything: accept },
      },
    }).map((line) => line.replace(/ a type: .*/, ' a type')),
  ).toEqual([
    'transports.docker.https://docker.io: must be host[:port][/repository[:tag]], without a scheme and "/" at its end',
    'transports.docker.docker.io/: must be host[:port][/repository[:tag]], without a scheme and "/" at its end',
    'transports.oci.a/b: must be an absolute path',
    'transports.oci./a/: must not end with "/"; all paths are ""',
    'transports.oci./: must not end with "/"; all paths are ""',
    'transports.oci./a/../b: must be a path without "//", "." and ".."',
    'transports.docker-archive./x.tar: is a scope, which images of archives do not have: only "" is asked for',
    'transports.dir: must be an object of scopes',
    'default.0: must be a rule with a type',
    'default.1: must be a rule with a type',
    'default.2: must be a rule with a type',
    'default.3.keyPath: is unknown: a rule "reject" has nothing but its type',
  ]);
});
