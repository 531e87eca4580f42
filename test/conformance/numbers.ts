/** The numbers a test's title begins with: `R20, D3: …`. */
export function numbersOf(title: string): string[] {
  const head = /^((?:[A-Z]\d+)(?:, ?[A-Z]\d+)*): /.exec(title)?.[1];
  return head === undefined ? [] : head.split(/, ?/);
}
