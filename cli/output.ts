/** A line for people, on standard error: standard output is for the answer alone. */
export function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** The answer for a program. */
export function printJson(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

/** The answer for people. */
export function print(...lines: readonly string[]): void {
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** Rows in aligned columns; numbers stand to the right, a null is a dash. Control characters cannot reach the terminal. */
export function table(rows: readonly Readonly<Record<string, string | number | null>>[]): string {
  const columns = Object.keys(rows[0] ?? {});
  const cells = rows.map((row) => columns.map((column) => cell(row[column] ?? null)));
  const isNumber = columns.map((column) => rows.some((row) => typeof row[column] === 'number'));
  const width = columns.map((column, i) => Math.max(column.length, ...cells.map((row) => row[i].length)));
  const line = (texts: readonly string[]) =>
    texts
      .map((text, i) => (isNumber[i] ? text.padStart(width[i]) : text.padEnd(width[i])))
      .join('  ')
      .trimEnd();
  return [line(columns), ...cells.map(line)].map((text) => `  ${text}`).join('\n');
}

function cell(value: string | number | null): string {
  if (value === null) return '-';
  return typeof value === 'number' ? grouped(value) : printable(value);
}

/** A count as people read it: 1,234,567. */
export function grouped(value: number): string {
  return value.toLocaleString('en-US');
}

/** Text that someone else wrote, as one line that does nothing to a terminal. */
export function printable(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
