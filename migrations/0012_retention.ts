import type { Knex } from 'knex';

/** The UTC date of a play's last event. */
const endDay = (play: string) => `((${play}.ended_at at time zone 'UTC')::date)`;
/** Whether a play has an event in a day that is not covered. */
const beyondCoverage = (play: string) => `(
  select count(*) from whence.batch_days c where c.to_version is null and c.day between ${play}.day and ${endDay(play)}
) <= ${endDay(play)} - ${play}.day`;

/** Whether a play has an event in a settled day. */
const touchesSettled = (play: string) =>
  `exists (select from whence.settled_days e where e.day between ${play}.day and ${endDay(play)})`;
/** Whether all events of a play are in settled days. */
const isSettled = (play: string) => `(
  ${play}.day in (select day from whence.settled_days)
  and (${endDay(play)} = ${play}.day or (
    select count(*) from whence.settled_days e where e.day between ${play}.day and ${endDay(play)}
  ) > ${endDay(play)} - ${play}.day)
)`;

async function columnsOf(knex: Knex, view: string, but: readonly string[], from: string): Promise<string> {
  const { rows } = await knex.raw<{ rows: { columns: string }[] }>(
    `select string_agg(format('${from}.%I', column_name), ', ' order by ordinal_position) as columns
     from information_schema.columns
     where table_schema = 'whence' and table_name = '${view}' and column_name not in (${but.map((name) => `'${name}'`).join(', ')})`,
  );
  return rows[0].columns;
}

async function replaceNow(knex: Knex, open: string, visible: string): Promise<void> {
  const batch = await columnsOf(knex, 'batch_now', ['from_version', 'at_edge'], 'b');
  await knex.raw(`
    create or replace view whence.batch_now as
    select coalesce(b.written_by, b.from_version) as from_version, ${batch}, ${open} or ${beyondCoverage('b')} as at_edge
    from whence.batch_plays b
    where b.to_version is null`);
  const speed = await columnsOf(knex, 'speed_now', ['uncovered'], 's');
  await knex.raw(`
    create or replace view whence.speed_now as
    select ${speed},
      ${beyondCoverage('s')} or exists (
        select from unnest(s.event_topics, s.event_offsets) e (topic, "offset")
        where not exists (
          select from whence.batch_horizons h
          where h.topic = e.topic and h.partition = s.task and h.next_offset > e."offset"
        )
      ) as uncovered
    from whence.speed_plays s
    where ${visible}`);
}

const NOT_YET_FINAL =
  'not (select watermark from whence.batch_head) > b.ended_at + (select final_after from whence.batch_head)';

const REMOVED = `raise exception 'Version % was removed by retention; the versions that are kept: select version from whence.versions where kept', as_of;`;
const REMOVED_NAMING = `raise exception 'Version % was removed by retention; the oldest that is kept is %: select version from whence.versions where kept',
            as_of, (select min(k.version) from whence.batch_versions k where k.removed_at is null);`;

async function replaceInFunction(knex: Knex, from: string, to: string): Promise<void> {
  const { rows } = await knex.raw<{ rows: { source: string }[] }>(
    `select pg_get_functiondef('whence.plays_as_of(bigint)'::regprocedure) as source`,
  );
  const [{ source }] = rows;
  if (!source.includes(from)) throw new Error('plays_as_of is not as this migration knows it');
  await knex.raw(source.replace(from, () => to).replaceAll('?', '\\?'));
}

/** Retention: what was removed, and what follows for what is served and for what can be computed. docs/decisions/0018. */
export async function up(knex: Knex): Promise<void> {
  await knex.raw(`
    -- Days that every kept version covers for good: batch serves their plays whatever its watermark says, and the speed
    -- layer's plays that lie wholly in such days are removed, or about to be.
    create table whence.settled_days (
      day date primary key,
      settled_at timestamptz not null default now()
    )`);
  await replaceNow(knex, `(${NOT_YET_FINAL} and not ${touchesSettled('b')})`, `not ${isSettled('s')}`);
  await replaceInFunction(knex, REMOVED, REMOVED_NAMING);

  await knex.raw(`
    -- Objects of the storage that nothing refers to any more: they are deleted once whoever still reads them must have ended.
    create table whence.removed_objects (
      key text primary key,
      bytes bigint not null,
      because text not null,
      removed_at timestamptz not null default now()
    )`);
  await knex.raw('alter table whence.dataset_builds drop constraint dataset_builds_status_check');
  await knex.raw(
    `alter table whence.dataset_builds
       add constraint dataset_builds_status_check check (status in ('building', 'published', 'removed'))`,
  );
}

export async function down(knex: Knex): Promise<void> {
  await knex.raw('alter table whence.dataset_builds drop constraint dataset_builds_status_check');
  await knex.raw(
    `alter table whence.dataset_builds
       add constraint dataset_builds_status_check check (status in ('building', 'published')) not valid`,
  );
  await knex.raw('drop table whence.removed_objects');
  await replaceInFunction(knex, REMOVED_NAMING, REMOVED);
  await replaceNow(knex, NOT_YET_FINAL, 'true');
  await knex.raw('drop table whence.settled_days');
}
