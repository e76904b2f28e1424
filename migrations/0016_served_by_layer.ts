import type { Knex } from 'knex';

/** The UTC date of a play's last event. */
const endDay = (play: string) => `((${play}.ended_at at time zone 'UTC')::date)`;
const coveredOf = (play: string) =>
  `(select count(*) from whence.batch_days c where c.to_version is null and c.day between ${play}.day and ${endDay(play)})`;
/** Whether a play has an event in a day that is not covered: as it was said before, and so that a play of one day counts nothing. */
const beyondCoverageByCount = (play: string) => `${coveredOf(play)} <= ${endDay(play)} - ${play}.day`;
const beyondCoverage = (play: string) => `(
  not exists (select from whence.batch_days c where c.to_version is null and c.day = ${play}.day)
  or ${endDay(play)} <> ${play}.day and ${beyondCoverageByCount(play)}
)`;

const touchesSettled = (play: string) =>
  `exists (select from whence.settled_days e where e.day between ${play}.day and ${endDay(play)})`;
const isSettled = (play: string) => `(
  ${play}.day in (select day from whence.settled_days)
  and (${endDay(play)} = ${play}.day or (
    select count(*) from whence.settled_days e where e.day between ${play}.day and ${endDay(play)}
  ) > ${endDay(play)} - ${play}.day)
)`;

const GAP = '(select stitching_gap from whence.batch_head)';
/** Whether two plays are of one key, and within a stitching gap of each other. */
const near = (a: string, b: string) => `
  ${a}.profile_id = ${b}.profile_id and ${a}.work_id = ${b}.work_id
  and ${a}.started_at <= ${b}.ended_at + ${GAP} and ${a}.ended_at >= ${b}.started_at - ${GAP}`;

async function columnsOf(knex: Knex, view: string, but: readonly string[], from: string): Promise<string> {
  const { rows } = await knex.raw<{ rows: { columns: string }[] }>(
    `select string_agg(format('${from}.%I', column_name), ', ' order by ordinal_position) as columns
     from information_schema.columns
     where table_schema = 'whence' and table_name = '${view}' and column_name not in (${but.map((name) => `'${name}'`).join(', ')})`,
  );
  return rows[0].columns;
}

async function replaceNow(knex: Knex, beyond: (play: string) => string): Promise<void> {
  const batch = await columnsOf(knex, 'batch_now', ['from_version', 'at_edge'], 'b');
  await knex.raw(`
    create or replace view whence.batch_now as
    select coalesce(b.written_by, b.from_version) as from_version, ${batch},
      (
        not (select watermark from whence.batch_head) > b.ended_at + (select final_after from whence.batch_head)
        and not ${touchesSettled('b')}
      ) or ${beyond('b')} as at_edge
    from whence.batch_plays b
    where b.to_version is null`);
  const speed = await columnsOf(knex, 'speed_now', ['uncovered'], 's');
  await knex.raw(`
    create or replace view whence.speed_now as
    select ${speed},
      ${beyond('s')} or exists (
        select from unnest(s.event_topics, s.event_offsets) e (topic, "offset")
        where not exists (
          select from whence.batch_horizons h
          where h.topic = e.topic and h.partition = s.task and h.next_offset > e."offset"
        )
      ) as uncovered
    from whence.speed_plays s
    where not ${isSettled('s')}`);
}

/** What is served of each layer, as queries. */
async function servedSql(knex: Knex): Promise<{ ofBatch: string; ofSpeed: string }> {
  const served = (from: string) => columnsOf(knex, 'served_plays', ['layer', 'state', 'generation'], from);
  return {
    ofBatch: `
      select ${await served('b')}, 'batch'::text as layer, 'final'::text as state, b.from_version as generation
      from whence.batch_now b
      where not b.at_edge
        and not exists (select from whence.speed_now s where s.uncovered and ${near('s', 'b')})`,
    ofSpeed: `
      select ${await served('s')}, 'speed'::text as layer,
        case when (select t.watermark > s.ended_at + t.final_after from whence.speed_tasks t where t.task = s.task)
          then 'final' else 'provisional' end as state,
        null::bigint as generation
      from whence.speed_now s
      where s.uncovered or exists (
        select from whence.batch_now b
        where ${near('s', 'b')}
          and (b.at_edge or exists (select from whence.speed_now o where o.uncovered and ${near('o', 'b')}))
      )`,
  };
}

/**
 * What is served of each layer is a view by itself: the plays of many keys are joined with each, as sets. A view that unites the
 * two can only be asked key by key. docs/decisions/0021.
 */
export async function up(knex: Knex): Promise<void> {
  await replaceNow(knex, beyondCoverage);
  const { ofBatch, ofSpeed } = await servedSql(knex);
  await knex.raw(`create view whence.served_of_batch as ${ofBatch}`);
  await knex.raw(`create view whence.served_of_speed as ${ofSpeed}`);
  await knex.raw(`
    create or replace view whence.served_plays as
    select * from whence.served_of_batch union all select * from whence.served_of_speed`);
}

export async function down(knex: Knex): Promise<void> {
  const { ofBatch, ofSpeed } = await servedSql(knex);
  await knex.raw(`create or replace view whence.served_plays as ${ofBatch} union all ${ofSpeed}`);
  await knex.raw('drop view whence.served_of_batch, whence.served_of_speed');
  await replaceNow(knex, beyondCoverageByCount);
}
