import {
  BATCH_WRITER,
  DailyMove,
  type DailyShare,
  type KeyShare,
  moveDaily,
  sharesByKey,
  sharesByKeyIn,
  sumShares,
} from '../merge/daily.ts';
import { settleDiscoveries } from '../merge/discoveries.ts';
import { gatherServed } from '../merge/gather-served.ts';
import { areMany, type KeySet, keySetOf } from '../merge/keys.ts';
import { ownMerge } from '../merge/locks.ts';
import { beginNoting, countNoted, endNoting, takeNoted } from '../merge/noting.ts';
import { openBeside, type Pool, type Queryable } from '../platform/postgres.ts';

/** So many notes are looked at in one go. Each go reads what is kept of all affected keys once. */
const NOTES_IN_ONE_GO = 20_000;
/** With so few of them left, the speed layer can wait for the rest. */
const FEW = 100;

type Beside = Awaited<ReturnType<typeof openBeside>>;

const BEFORE = 'shares_before';
const AFTER = 'shares_after';
const SERVED = 'served_after';

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
    await this.#keep(BEFORE, sharesByKey(affected), -1);
  }

  /** To be called when all of the version is written. */
  async settle(affected: KeySet): Promise<void> {
    await gatherServed(this.#client, SERVED, affected);
    await settleDiscoveries(this.#client, affected, 'batch', `${SERVED} p`);
    await this.#keep(AFTER, sharesByKeyIn(SERVED), 1);
    // Each round is as long as the one before took to be noted: they become shorter, or the speed layer is the faster one and has to
    // wait.
    for (let last = Infinity; ;) {
      const left = await countNoted(this.#beside);
      if (left <= FEW || left >= last) return;
      for (let done = 0, taken = 1; done < left && taken > 0; done += taken) taken = await this.#catchUp();
      last = left;
    }
  }

  /** From here on the speed layer's commits wait for this transaction. Readers never wait. */
  async finish(): Promise<void> {
    await ownMerge(this.#client);
    while ((await this.#catchUp()) > 0);
    await moveDaily(this.#client, BATCH_WRITER, this.#move);
  }

  async #keep(table: string, shares: string, sign: 1 | -1): Promise<void> {
    await this.#client.query(`create temp table ${table} on commit drop as ${shares}`);
    await this.#client.query(`create index on ${table} (profile_id, work_id)`);
    await this.#client.query(`analyze ${table} (profile_id, work_id)`);
    this.#move.add(await sumShares(this.#client, table), sign);
  }

  /** @returns how many notes were taken */
  async #catchUp(): Promise<number> {
    const { notes, keys: noted } = await takeNoted(this.#beside, NOTES_IN_ONE_GO);
    if (notes === 0) return 0;
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
    return notes;
  }

  async #forget(table: string, keys: KeySet): Promise<DailyShare[]> {
    const { rows } = await this.#client.query<KeyShare>(
      `delete from ${table} t using ${keys.sql} where t.profile_id = k.profile_id and t.work_id = k.work_id returning t.*`,
      [...keys.parameters],
    );
    return rows;
  }
}
