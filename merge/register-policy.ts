import type { Policy } from '../attribution/policy.ts';
import type { Queryable } from '../platform/postgres.ts';

/** Keeps the policy, so that every play that it made can say what it was. */
export async function registerPolicy(database: Queryable, policy: Policy): Promise<void> {
  await database.query(
    `insert into whence.policies (hash, name, models, source) values ($1, $2, $3, $4) on conflict (hash) do nothing`,
    [policy.hash, policy.name, policy.models.map((model) => model.name), JSON.stringify(policy.source)],
  );
}
