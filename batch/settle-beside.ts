import {
  BATCH_WRITER,
  DailyMove,
  type DailyShare,
  type KeyShare,
  moveDaily,
  sharesByKey,
  sumShares,
} from '../merge/daily.ts';
import { settleDiscoveries } from '../merge/discoveries.ts';
import { areMany, type KeySet, keySetOf } from '../merge/keys.ts';
import { ownMerge } from '../merge/locks.ts';
import { beginNoting, endNoting, takeNoted } from '../merge/noting.ts';
import { openBeside, type Pool, type Queryable } from '../platform/postgres.ts';

/** So many noted keys are looked at in one go. */
const KEYS_A_ROUND = 5_000;
/** With so few of them left, the speed layer can wait for the rest. */
const FEW = 100;
/** Where it always changes more than that in the time of a round, it waits for the rest of them all the same. */
const ROUNDS = 50;

type Beside = Awaited<ReturnType<typeof openBeside>>;

const BEFORE = 'shares_before';
const AFTER = 'shares_after';

/**
 * Settles what a commit changes while the speed layer goes on with its own, which it notes. Discoveries and shares of the rollup
 * are reckoned for all affected keys first; then again for those that were noted, until few are; and only for these last ones
 * does the speed layer wait, so that all is settled against one state of both layers.
 */
export class SettlingBeside {
  readonly #client: Queryable;
  /** Sees what readers see: the version from before. */
  readonly #beside: Beside;
  readonly #move = new DailyMove();

  private constructor(client: Queryable, beside: Beside) {
    this.#client = client;
    this.#beside = beside;
  }

  /**
   * @param pool of which one more connection is opened, beside those that it has
   * @param client in the transaction of the commit, which owns it (see `ownCommit`)
   * @param work has to call the other methods in their order
   */
  static async during<Result>(
    pool: Pool,
    client: Queryable,
    work: (settling: SettlingBeside) => Promise<Result>,
  ): Promise<Result> {
    const beside = await openBeside(pool);
    try {
      await beginNoting(beside);
      try {
        return await work(new SettlingBeside(client, beside));
      } finally {
        // Still within the commit: no other one notes yet.
        await endNoting(beside);
      }
    } finally {
      await beside.end();
    }
  }

  /** To be called before anything of the version is written. */
  async keepBefore(affected: KeySet): Promise<void> {
    await this.#keep(BEFORE, affected, -1);
  }

  /** To be called when all of the version is written. */
  async settle(affected: KeySet): Promise<void> {
    await settleDiscoveries(this.#client, affected, 'batch');
    await this.#keep(AFTER, affected, 1);
    for (let round = 0; round < ROUNDS; round++) if ((await this.#catchUp()) <= FEW) return;
  }

  /** From here on the speed layer's commits wait for this transaction. Readers never wait. */
  async finish(): Promise<void> {
    await ownMerge(this.#client);
    while ((await this.#catchUp()) > 0);
    await moveDaily(this.#client, BATCH_WRITER, this.#move);
  }

  async #keep(table: string, keys: KeySet, sign: 1 | -1): Promise<void> {
    await this.#client.query(`create temp table ${table} on commit drop as ${sharesByKey(keys)}`);
    await this.#client.query(`create index on ${table} (profile_id, work_id)`);
    await this.#client.query(`analyze ${table}`);
    this.#move.add(await sumShares(this.#client, table), sign);
  }

  /** @returns how many keys had been noted */
  async #catchUp(): Promise<number> {
    const noted = await takeNoted(this.#beside, KEYS_A_ROUND);
    if (noted.length === 0) return 0;
    const keys = keySetOf(noted, await areMany(this.#client, noted.length));
    const before = await this.#beside.query<KeyShare>(sharesByKey(keys), [...keys.parameters]);
    this.#move.add(await this.#forget(BEFORE, keys), 1).add(before.rows, -1);
    await this.#client.query(`insert into ${BEFORE} select * from json_populate_recordset(null::${BEFORE}, $1)`, [
      JSON.stringify(before.rows),
    ]);
    await settleDiscoveries(this.#client, keys, 'batch');
    this.#move.add(await this.#forget(AFTER, keys), -1);
    const after = await this.#client.query<KeyShare>(`insert into ${AFTER} ${sharesByKey(keys)} returning *`, [
      ...keys.parameters,
    ]);
    this.#move.add(after.rows, 1);
    return noted.length;
  }

  async #forget(table: string, keys: KeySet): Promise<DailyShare[]> {
    const { rows } = await this.#client.query<KeyShare>(
      `delete from ${table} t using ${keys.sql} where t.profile_id = k.profile_id and t.work_id = k.work_id returning t.*`,
      [...keys.parameters],
    );
    return rows;
  }
}
