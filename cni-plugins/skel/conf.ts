/**
 * Typed reading of a plugin's configuration. Keys are found in any case (X10), null counts as absent, and a value of the
 * wrong type is a {@link CniError} 7 that names key and value.
 */
import { type Cidr, type Ip, parseCidr, parseIp } from '../../src/model/cidr.ts';
import { isObject, knownKey } from '../../src/model/cni/known-key.ts';
import { CniError, cniCode } from '../../src/model/cni/types.ts';

export { isObject, knownKey };
export type Fields = Readonly<Record<string, unknown>>;

/** Error 7 about the value of `key`. `where`: path of the object the key is in, '' for the top. */
export const badValue = (where: string, key: string, value: unknown, wanted: string): CniError =>
  new CniError(cniCode.config, `${where === '' ? '' : `${where}.`}${key} must be ${wanted}, not ${JSON.stringify(value)}`);

/** Reads the members of one object; every method returns undefined for an absent key. */
export class ConfReader {
  constructor(
    readonly fields: Fields,
    readonly where = '',
  ) {}

  value(key: string): unknown {
    return knownKey(this.fields, key);
  }
  text(key: string): string | undefined {
    return this.#typed(key, 'a string', (value) => (typeof value === 'string' ? value : undefined));
  }
  flag(key: string): boolean | undefined {
    return this.#typed(key, 'true or false', (value) => (typeof value === 'boolean' ? value : undefined));
  }
  /** A whole number between `min` and `max`, both included. */
  integer(key: string, min: number, max: number): number | undefined {
    return this.#typed(key, `a whole number from ${min} to ${max}`, (value) =>
      typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max ? value : undefined,
    );
  }
  list(key: string): readonly unknown[] | undefined {
    return this.#typed(key, 'a list', (value) => (Array.isArray(value) ? (value as unknown[]) : undefined));
  }
  texts(key: string): readonly string[] | undefined {
    return this.#typed(key, 'a list of strings', (value) =>
      Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : undefined,
    );
  }
  /** Readers of a list of objects, each knowing its place (`ranges[0]`). */
  objects(key: string): readonly ConfReader[] | undefined {
    return this.list(key)?.map((item, i) => {
      if (!isObject(item)) throw badValue(this.where, `${key}[${i}]`, item, 'an object');
      return new ConfReader(item, this.#path(`${key}[${i}]`));
    });
  }
  object(key: string): ConfReader | undefined {
    const value = this.#typed(key, 'an object', (found) => (isObject(found) ? found : undefined));
    return value === undefined ? undefined : new ConfReader(value, this.#path(key));
  }
  /** The empty string counts as absent, as in Go. */
  ip(key: string): Ip | undefined {
    return this.value(key) === ''
      ? undefined
      : this.#typed(key, 'an IP address', (value) => (typeof value === 'string' ? parseIp(value) : undefined));
  }
  /** An address with prefix length; host bits are kept. */
  cidr(key: string): Cidr | undefined {
    return this.#typed(key, 'an address with prefix length, such as 10.1.0.0/16', (value) =>
      typeof value === 'string' ? parseCidr(value) : undefined,
    );
  }

  #path(key: string): string {
    return this.where === '' ? key : `${this.where}.${key}`;
  }
  #typed<T>(key: string, wanted: string, read: (value: unknown) => T | undefined): T | undefined {
    const value = this.value(key);
    if (value === undefined) return undefined;
    const result = read(value);
    if (result === undefined) throw badValue(this.where, key, value, wanted);
    return result;
  }
}
