/** A text as a literal of SQL, where no parameter can stand. */
export function sqlText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
