import type { Knex } from 'knex';

/**
 * Rows that are written over again and again, and what part of a page new ones may fill: a play is refined at each heartbeat, and
 * these counts and offsets at each commit. Where its page has room for it, the next version of a row needs no new entry in any index.
 */
const FILLED: Readonly<Record<string, number>> = {
  speed_plays: 50,
  speed_tasks: 10,
  daily_shares: 50,
  ledger: 50,
};

export async function up(knex: Knex): Promise<void> {
  for (const [table, filled] of Object.entries(FILLED)) {
    await knex.raw(`alter table whence.${table} set (fillfactor = ${filled})`);
  }
}

export async function down(knex: Knex): Promise<void> {
  for (const table of Object.keys(FILLED)) await knex.raw(`alter table whence.${table} reset (fillfactor)`);
}
