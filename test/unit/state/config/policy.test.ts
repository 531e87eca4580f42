import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isRuntimeError } from '../../../../src/model/errors.ts';
import { loadPolicy, requireAccepted } from '../../../../src/state/config/policy.ts';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'rkt-policy-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));
const put = (path: string, content: string): void => {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), content);
};
const load = () =>
  loadPolicy({ systemConfig: join(root, 'system'), localConfig: join(root, 'local'), userConfig: join(root, 'user') }, join(root, 'shared.json'));
const rejecting = '{"default":[{"type":"reject"}]}';

function refusal(): string {
  try {
    requireAccepted(load(), { transport: 'docker', place: 'docker.io/library/x', ref: ':1' });
  } catch (error) {
    if (isRuntimeError(error)) return [error.code, error.message, ...error.details].join('\n').replaceAll(`${root}/`, '');
    throw error;
  }
  return 'accepted';
}

test('no policy accepts everything', () => expect(refusal()).toBe('accepted'));

test("the user's, the administrator's, the system's, podman's: the first there is, whole", () => {
  put('shared.json', rejecting);
  expect(refusal()).toBe('ERR_IMAGE_POLICY\ndocker://docker.io/library/x:1 is rejected by the image policy shared.json (default)');
  put('system/policy.json', '{"default":[{"type":"insecureAcceptAnything"}]}');
  expect(refusal()).toBe('accepted');
  put('local/policy.json', '{"default":[{"type":"insecureAcceptAnything"}],"transports":{"docker":{"docker.io":[{"type":"signedBy"}]}}}');
  expect(refusal()).toBe(
    'ERR_IMAGE_POLICY\nthe image policy local/policy.json (docker docker.io) asks for signedBy of docker://docker.io/library/x:1, which rkt does not check',
  );
  put('user/policy.json', rejecting);
  expect(refusal()).toContain('user/policy.json');
});

test('a policy that cannot be read is not passed over', () => {
  put('local/policy.json', '{"default":');
  put('shared.json', '{"default":[{"type":"insecureAcceptAnything"}]}');
  expect(refusal()).toBe('ERR_CONFIG_INVALID\nlocal/policy.json:1:12: not JSON: expected a value, found the end of the file');
  put('local/policy.json', '{"default":[],\n"x":1}');
  expect(refusal()).toBe(
    'ERR_CONFIG_INVALID\nthe configuration has 2 faults\nlocal/policy.json:2:5: x is unknown: a policy has default and transports\nlocal/policy.json:1:12: default must be a list of at least one rule',
  );
});
