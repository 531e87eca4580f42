/** Typed access to located values: every wrong type, missing and unknown field becomes a fault with its line, and reading goes on. */
import { didYouMean } from '../../model/ids.ts';
import type { Source } from '../model/values.ts';
import type { Faults } from './faults.ts';
import { isOldBoolean, type Located, type MapEntry } from './yaml.ts';

const nameOfType = (located: Located): string =>
  located.kind === 'map'
    ? 'a mapping'
    : located.kind === 'list'
      ? 'a list'
      : located.value === null
        ? 'nothing'
        : typeof located.value === 'string'
          ? 'text'
          : `the ${typeof located.value} ${located.raw}`;

/** One value of a document with its path; `field` is what faults call it. */
export class Value {
  constructor(
    readonly located: Located,
    readonly field: string,
    readonly file: string,
    readonly faults: Faults,
    /** line of the key in front of it, where people look for it */
    readonly keyLine: number = located.line,
  ) {}

  get source(): Source {
    return { file: this.file, line: this.keyLine };
  }
  fault(message: string): undefined {
    this.faults.add(this.source, this.field, message);
    return undefined;
  }
  /** Legal, but hardly meant; `cure` is the change that is proposed. */
  note(text: string, cure: string): void {
    this.faults.notes.push({ text: `${this.field === '' ? '' : `${this.field}: `}${text}`, cure, source: this.source });
  }
  /** Written, but with nothing behind it: Kubernetes reads that as not there. */
  get isNull(): boolean {
    return this.located.kind === 'scalar' && this.located.value === null;
  }
  map(): MapValue | undefined {
    const { located } = this;
    if (located.kind === 'map') return new MapValue(this, located.entries);
    return this.fault(`must be a mapping, is ${nameOfType(located)}${located.kind === 'list' ? ' (a dash too many?)' : ''}`);
  }
  list(): Value[] | undefined {
    const { located } = this;
    if (located.kind === 'list')
      return located.items.map((item, index) => new Value(item, `${this.field}[${index}]`, this.file, this.faults, item.line));
    return this.fault(`must be a list, is ${nameOfType(located)}${located.kind === 'map' ? ' (a dash is missing)' : ''}`);
  }
  text(): string | undefined {
    const { located } = this;
    if (located.kind !== 'scalar' || typeof located.value !== 'string') {
      const cure = located.kind === 'scalar' && located.value !== null ? `: write ${JSON.stringify(located.raw)}` : '';
      return this.fault(`must be text, is ${nameOfType(located)}${cure}`);
    }
    if (isOldBoolean(located)) return this.fault(`${located.raw} without quotes is a boolean to Kubernetes: write "${located.raw}"`);
    return located.value;
  }
  /** Text that must be one of a few. */
  choice<const T extends string>(choices: readonly T[]): T | undefined {
    const text = this.text();
    if (text === undefined) return undefined;
    const found = choices.find((choice) => choice === text);
    if (found !== undefined) return found;
    const near = choices.find((choice) => choice.toLowerCase() === text.toLowerCase()) ?? didYouMean(text, choices);
    return this.fault(`${JSON.stringify(text)} is not one of ${choices.join(', ')}${near === undefined ? '' : ` (did you mean ${near}?)`}`);
  }
  integer(least: number, most: number, what: string): number | undefined {
    const { located } = this;
    if (located.kind !== 'scalar' || typeof located.value !== 'number' || !Number.isSafeInteger(located.value)) {
      const isQuoted = located.kind === 'scalar' && typeof located.value === 'string' && /^\d+$/.test(located.value);
      return this.fault(`must be ${what}, is ${nameOfType(located)}${isQuoted ? ': take away the quotes' : ''}`);
    }
    const { value } = located;
    return value >= least && value <= most ? value : this.fault(`${value} is not ${what} (${least} to ${most})`);
  }
  boolean(): boolean | undefined {
    const { located } = this;
    return located.kind === 'scalar' && typeof located.value === 'boolean'
      ? located.value
      : this.fault(`must be true or false, is ${nameOfType(located)}`);
  }
  /** Each item read by `read`; those with faults are left out. */
  each<T>(read: (item: Value) => T | undefined): T[] {
    return (this.list() ?? []).flatMap((item) => {
      const result = read(item);
      return result === undefined ? [] : [result];
    });
  }
}

export class MapValue {
  constructor(
    readonly value: Value,
    readonly entries: ReadonlyMap<string, MapEntry>,
  ) {}

  get source(): Source {
    return this.value.source;
  }
  private at(key: string): Value | undefined {
    const entry = this.entries.get(key);
    if (entry === undefined) return undefined;
    const { value } = this;
    return new Value(entry.value, value.field === '' ? key : `${value.field}.${key}`, value.file, value.faults, entry.line);
  }
  /** The value of `key`, unless it is not there or null. */
  get(key: string): Value | undefined {
    const found = this.at(key);
    return found === undefined || found.isNull ? undefined : found;
  }
  /** The value of `key`, null included. */
  written(key: string): Value | undefined {
    return this.at(key);
  }
  required(key: string, cure = ''): Value | undefined {
    const found = this.get(key);
    if (found !== undefined) return found;
    const at = this.at(key) ?? this.value;
    const field = this.value.field === '' ? key : `${this.value.field}.${key}`;
    this.value.faults.add(at.source, field, `is missing${cure === '' ? '' : `: ${cure}`}`);
    return undefined;
  }
  /** Names every key that is not one of `known`. `removed`: key → why it is none any more. */
  refuseOthers(known: readonly string[], removed: Readonly<Record<string, string>> = {}): void {
    for (const key of this.unknown(known)) {
      const near = known.find((one) => one.toLowerCase() === key.toLowerCase()) ?? didYouMean(key, known);
      const why = Object.hasOwn(removed, key) ? removed[key] : near === undefined ? `known are ${known.join(', ')}` : `did you mean ${near}?`;
      this.at(key)?.fault(`is no field that is known here: ${why ?? ''}`);
    }
  }
  unknown(known: readonly string[]): string[] {
    return [...this.entries.keys()].filter((key) => !known.includes(key));
  }
  /** Every entry, in written order. */
  *values(): Generator<readonly [string, Value]> {
    for (const key of this.entries.keys()) {
      const value = this.at(key);
      if (value !== undefined) yield [key, value];
    }
  }
}
