/** Addresses as tests write them: text that must parse. */
import { expect } from 'vitest';
import { type Cidr, type Ip, parseCidr, parseIp } from '../../src/model/cidr.ts';

export const cidr = (text: string): Cidr => parseCidr(text) ?? expect.fail(`${text} is not a subnet`);
export const ip = (text: string): Ip => parseIp(text) ?? expect.fail(`${text} is not an address`);
