import type { QueryConfig, QueryResult, QueryResultRow } from 'pg';
import { type Pool, type PoolClient, withTransaction } from './postgres.ts';

/** What takes statements: a pool, a client of one, or `Statements`. */
export interface StatementRunner {
  query<Row extends QueryResultRow>(statement: QueryConfig): Promise<QueryResult<Row>>;
}

/**
 * The statements of a transaction in order. A connection of a pipelining pool is sent each without waiting for the answers of
 * those before, so that many take one round trip; on another they follow one another. What follows one that fails does nothing.
 */
export class Statements implements StatementRunner {
  readonly client: PoolClient;
  #last: Promise<unknown> = Promise.resolve();
  #sent: Promise<unknown>[] = [];
  #corked = false;

  constructor(client: PoolClient) {
    this.client = client;
  }

  query<Row extends QueryResultRow>(statement: QueryConfig): Promise<QueryResult<Row>> {
    const answer = this.client.pipeline
      ? this.#inOneGo().query<Row>(statement)
      : this.#last.then(() => this.client.query<Row>(statement));
    this.#last = answer;
    return this.send(answer);
  }

  /** Has `answered` wait for what was begun, and throw its error, whoever else waits for it. @returns the same */
  send<Result>(begun: Promise<Result>): Promise<Result> {
    begun.catch(() => {});
    this.#sent.push(begun);
    return begun;
  }

  /** What is sent before others have their turn leaves in one packet: a packet each would cost as much as the rest of sending. */
  #inOneGo(): PoolClient {
    const { stream } = this.client.connection;
    if (!this.#corked) {
      this.#corked = true;
      stream.cork();
      process.nextTick(() => {
        this.#corked = false;
        stream.uncork();
      });
    }
    return this.client;
  }

  /** Waits for the answers to all that was sent. @throws the error of the first that failed */
  async answered(): Promise<void> {
    const answers = await Promise.allSettled(this.#sent);
    const failed = answers.find((answer) => answer.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    this.#sent = [];
  }
}

/**
 * Runs `work` in one transaction (read committed): committed where all of its statements went through, rolled back where one
 * fails or `work` throws, with the error of the first.
 *
 * Its begin is waited for: without it, each statement would be committed by itself. So is all else before the commit.
 */
export function withStatements(pool: Pool, work: (statements: Statements) => Promise<void>): Promise<void> {
  return withTransaction(pool, async (client) => {
    const statements = new Statements(client);
    try {
      await work(statements);
    } finally {
      // Where one failed, its error is the first, whatever `work` made of it.
      await statements.answered();
    }
  });
}
