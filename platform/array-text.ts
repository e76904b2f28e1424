/** An array as Postgres writes it; texts in quotes, whatever they are. What many statements take is so written once. */
export function arrayText(items: readonly (string | number | null)[]): string {
  let text = '{';
  for (let i = 0; i < items.length; i++) {
    const item = items[i];
    if (i > 0) text += ',';
    if (item === null) text += 'NULL';
    else if (typeof item === 'string') text += `"${item.search(QUOTED) < 0 ? item : item.replace(QUOTED, '\\$&')}"`;
    else text += item;
  }
  return `${text}}`;
}

const QUOTED = /["\\]/g;
