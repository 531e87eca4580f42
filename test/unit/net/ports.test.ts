import { describe, expect, test } from 'vitest';
import { parsePortArgs, resolvePorts } from '../../../src/net/ports.ts';

const apps = [
  {
    app: 'web',
    ports: [
      { name: 'http', protocol: 'tcp', port: 80 },
      { name: '53-udp', protocol: 'udp', port: 53 },
      { name: 'admin', protocol: 'tcp', port: 9 },
      { name: 'many', protocol: 'udp', port: 5000, count: 3 },
    ],
  },
  { app: 'side', ports: [{ name: 'admin', protocol: 'tcp', port: 9 }] },
] as const;
const map = (...values: string[]) =>
  resolvePorts(parsePortArgs(values), apps).map(
    ({ hostIP, hostPort, containerPort, protocol }) => `${hostIP ?? '*'} ${hostPort} ${containerPort} ${protocol}`,
  );
const refused = (...values: string[]): string[] => {
  try {
    map(...values);
  } catch (error) {
    const { code, details, message } = error as { code: string; details: string[]; message: string };
    expect(code).toBe('ERR_NET_PORTS');
    return details.length > 0 ? details : [message];
  }
  return expect.fail('should be refused');
};

describe('--port', () => {
  test.each([
    ['http:8080', '* 8080 80 tcp'],
    ['http:127.0.0.1:8080', '127.0.0.1 8080 80 tcp'],
    ['http:[fd00::1]:8080', 'fd00::1 8080 80 tcp'],
    ['53-udp:5353', '* 5353 53 udp'],
    ['8080:80', '* 8080 80 tcp'],
    ['8080:80/udp', '* 8080 80 udp'],
    ['8080:80/sctp', '* 8080 80 sctp'],
    ['127.0.0.1:8080:80', '127.0.0.1 8080 80 tcp'],
    ['0.0.0.0:8080:80/tcp', '0.0.0.0 8080 80 tcp'],
    ['[fd00::1]:8080:80', 'fd00::1 8080 80 tcp'],
    ['0:80', '* 0 80 tcp'],
    ['127.0.0.1:0:80/udp', '127.0.0.1 0 80 udp'],
    ['http:0', '* 0 80 tcp'],
    ['[fd00:0:0::1]:8080:80/udp', 'fd00::1 8080 80 udp'],
    ['65535:1', '* 65535 1 tcp'],
  ])('%s', (value, expected) => {
    expect(map(value)).toEqual([expected]);
  });

  test('a port of an image that is several', () => {
    expect(map('many:7000', 'http:80')).toEqual(['* 7000 5000 udp', '* 7001 5001 udp', '* 7002 5002 udp', '* 80 80 tcp']);
    expect(map('many:0').length).toBe(3);
    expect(refused('many:65534')).toEqual(['--port=many:65534: it is 3 ports, and they lead beyond host port 65535']);
  });

  test.each([
    ['8080', 'a host port and a port of the pod are needed'],
    ['', 'a host port and a port of the pod are needed'],
    ['[::1]:8080:80', 'the kernel does not route [::1] to a pod'],
    ['http:[0:0::1]:8080', 'the kernel does not route [::1] to a pod'],
    ['00000:80-', '"80-" is not a port of the pod'],
    ['8000-8010:80', '11 ports of the host for 1 of the pod'],
    ['8010-8000:80-90', '"8010-8000" is not a port of the host'],
    ['0-5:80-85', '"0-5" is not a port of the host'],
    ['65530-65536:1-7', '"65530-65536" is not a port of the host'],
    ['http:8000-8001', 'a named port is one port'],
    ['65536:80', '"65536" is not a port of the host'],
    ['80:0', '"0" is not a port of the pod'],
    ['80:80:80', '"80" is not an address of the host'],
    ['8080:80/icmp', 'unknown protocol "icmp"'],
    ['8080:80/', 'unknown protocol ""'],
    ['8080:', '"" is not a port of the pod'],
    [':80', '"" is not the name of a port'],
    ['127.0.0.1:8080', 'not the name of a port'],
    ['127.0.0.300:8080:80', '"127.0.0.300" is not an address'],
    ['::1:8080:80', 'too many fields'],
    ['[::1:8080:80', 'brackets that are closed'],
    ['[127.0.0.1]:8080:80', 'is not an address'],
    ['[::ffff:1.2.3.4]:8080:80', 'is not an address'],
    ['[fe80::1%eth0]:8080:80', 'is not an address'],
    ['http:8080/udp', 'declares the protocol'],
    ['HTTP:8080', 'not the name of a port'],
    ['htp:8080', 'port name "htp" could not be found in any app; did you mean "http"?'],
    ['admin:8080', 'port name "admin" is defined by several apps: web, side'],
    ['1e3:80', 'port name "1e3" could not be found in any app'],
  ])('%s is refused: %s', (value, expected) => {
    expect(refused(value)).toEqual([expect.stringContaining(expected)]);
  });

  test('ranges are as many ports; several free ports do not collide', () => {
    expect(map('8000-8002:80-82/udp')).toEqual(['* 8000 80 udp', '* 8001 81 udp', '* 8002 82 udp']);
    expect(map('127.0.0.1:0:80-81', '0:80')).toEqual(['127.0.0.1 0 80 tcp', '127.0.0.1 0 81 tcp', '* 0 80 tcp']);
  });

  test('every fault is named', () => {
    expect(refused('65536:1', 'x', '1:2')).toHaveLength(2);
    expect(refused('nope:1', 'admin:2', 'http:3')).toHaveLength(2);
  });

  test.each([
    [['8080:80', '8080:81'], true],
    [['8080:80', '8080:80'], true],
    [['8080:80', '8080:80/udp'], false],
    [['8080:80', '127.0.0.1:8080:81'], true],
    [['0.0.0.0:8080:80', '127.0.0.1:8080:81'], true],
    [['0.0.0.0:8080:80', '[fd00::1]:8080:81'], false],
    [['[::]:8080:80', '[fd00::1]:8080:81'], true],
    [['8080:80', '[fd00::1]:8080:81'], true],
    [['8080:80', '8079-8080:1-2'], true],
    [['0:80', '0:80'], false],
    [['10.0.0.1:8080:80', '10.0.0.2:8080:80'], false],
    [['http:8080', '8080:81'], true],
    [['8080:80', '8081:80'], false],
  ])('%j collide: %s', (values, collides) => {
    if (collides) expect(refused(...values)[0]).toMatch(/host port 8080\/tcp is already mapped to pod port 80 by --port=/);
    else expect(map(...values)).toHaveLength(2);
  });
});
