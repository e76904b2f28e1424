/** Some keys, as a piece of SQL that gives rows (profile_id, work_id), each key once, and its parameters $1, $2 … */
export interface KeySet {
  sql: string;
  parameters: readonly unknown[];
}

export function keySetOf(keys: readonly { profile_id: string; work_id: string }[]): KeySet {
  return {
    sql: 'unnest($1::text[], $2::text[]) as k (profile_id, work_id)',
    parameters: [keys.map((key) => key.profile_id), keys.map((key) => key.work_id)],
  };
}

/** @param table with columns profile_id and work_id */
export function keySetIn(table: string): KeySet {
  return { sql: `${table} as k`, parameters: [] };
}
