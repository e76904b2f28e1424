import os from 'node:os';
import { Command } from 'commander';
import { VERDICT_WORDS, type Candidate } from '../attribution/explain.ts';
import { WEIGHT_UNITS } from '../attribution/models.ts';
import type { Source } from '../attribution/plays.ts';
import { explainBatchPlay } from '../batch/explain-play.ts';
import { checkPlayId, type PlayExplanation, type ServedPlay } from '../merge/explained-play.ts';
import { openStorage } from '../platform/open-storage.ts';
import { explainPlay } from '../streaming/explain-play.ts';
import { print, printable, printJson, table } from './output.ts';
import { withDatabaseAndKafka } from './servers.ts';

const RULE_WORDS: Record<ServedPlay['rule'], string> = {
  origin_impression: 'the launch names an impression that was eligible',
  origin_claim: 'the launch says where it came from, but names no eligible impression',
  last_impression: 'the launch says nothing; the last impression in the half hour before counts',
  unknown: 'the launch says nothing, and nothing was seen in the half hour before',
};

/** `whence explain`: why a play is credited to its row. */
export function explainCommand(): Command {
  return new Command('explain')
    .description(
      'Why a play is credited to its row: the rule, the path, every candidate and why it won or lost. Reads the facts again: ' +
        'from the archive where batch serves the play, else from Kafka, as far as they are still there.',
    )
    .argument('<play-id>', 'the play_id of a row of whence.plays', checkPlayId)
    .option('--json', 'print JSON')
    .addHelpText(
      'after',
      `
Some ids to try:
  psql "$DATABASE_URL" -c "select play_id, sop_row_type, sod_row_type from whence.plays where qualified limit 5"`,
    )
    .action((id: string, { json }: { json?: true }) =>
      withDatabaseAndKafka(
        'explain',
        async ({ pool, kafka, settings }) => {
          const storage = await openStorage(settings);
          const byBatch = await explainBatchPlay({ pool, storage, scratch: os.tmpdir() }, id);
          const explained = byBatch ?? (await explainPlay(pool, kafka, id));
          if (json) printJson(asJson(explained));
          else printExplanation(explained);
        },
        // What batch serves is explained without it.
        { optional: true },
      ),
    );
}

function printExplanation(explained: PlayExplanation): void {
  const { served, stored, explanation, policy } = explained;
  const flags = [
    served.state,
    served.qualified ? 'qualified' : 'not qualified',
    stored.inferred_start && 'start inferred',
    stored.inferred_end && 'end inferred',
  ].filter((flag) => flag !== false);
  const watched = `${Math.floor(served.watched_ms / 60_000)} min ${Math.round((served.watched_ms % 60_000) / 1_000)} s`;
  print(
    `Play ${served.play_id}`,
    `  profile ${printable(served.profile_id)}, work ${printable(served.work_id)}, title ${printable(served.title_id)}`,
    `  ${iso(served.started_at)} to ${iso(served.ended_at)}, watched ${watched}; ${flags.join(', ')}`,
    `  ${printable(served.country)}, ${printable(served.device_type)}; policy ${printable(policy.name)} (${policy.hash}), ${served.layer} layer`,
    '',
    `Source of play: ${sourceText(served, 'sop')}`,
    `  rule ${served.rule}: ${RULE_WORDS[served.rule]}`,
  );
  if (stored.orphan_token)
    print('  the launch named an impression that is not eligible (never seen here, too old, or of another work)');
  print('', `Source of discovery: ${sourceText(served, 'sod')}`, `  ${discoveryText(explained)}`);
  const inherits = served.discovered_at !== null && !served.is_discovery;
  if (inherits) print(`  by itself it would be credited to: ${sourceText(stored, 'own')}`);
  printPath(explained);
  print('');
  if (explanation === null) {
    print('The facts behind this play are no longer there: what stands here is what its row says.');
    return;
  }
  if (explained.facts === 'differ') {
    print(
      'Careful: the facts that are there now give another answer than the row has, so some are gone or came since; the',
      'candidates below are those that are left.',
      '',
    );
  }
  const { candidates } = explanation;
  if (candidates.length === 0) print('Candidates: no impression of this work was seen by the profile.');
  else print('Candidates, the latest first:', table(candidates.map(candidateRow)));
}

/** A source in one line, from the columns of a row that have its prefix. */
function sourceText(row: object, prefix: 'sop' | 'sod' | 'own'): string {
  const own = Object.entries(row).filter(([column]) => column.startsWith(`${prefix}_`));
  const source = Object.fromEntries(own.map(([column, value]) => [column.slice(prefix.length + 1), value as unknown]));
  const {
    surface,
    row_type,
    row_rank,
    position,
    class: itsClass,
    evidence,
    impression_id,
  } = source as unknown as Source;
  const parts = [
    row_type === null ? printable(surface) : `${printable(row_type)} on ${printable(surface)}`,
    row_rank !== null && `row ${row_rank}`,
    position !== null && `position ${position}`,
    itsClass,
    evidence !== 'none' && evidence,
    impression_id !== null && `impression ${printable(impression_id)}`,
  ];
  return parts.filter((part) => part !== false && part !== null).join(', ');
}

function discoveryText({ served, discovery_play_id: discovery }: PlayExplanation): string {
  const assisted = served.assisted
    ? '; assisted: that play was launched by an intent (a search, a link), the row had been seen before'
    : '';
  if (served.is_discovery) return `its own: the first qualified play of this work by this profile${assisted}`;
  if (served.discovered_at !== null) {
    return `inherited from the play that discovered the work, ${discovery} at ${iso(served.discovered_at)}${assisted}`;
  }
  const why =
    discovery === null ? 'no play of this work is qualified yet' : 'it began before the play that discovered the work';
  return `its own candidate, ${why}${assisted}`;
}

/** The path and what each model gives its touches. */
function printPath({ stored, policy }: PlayExplanation): void {
  const touches = stored.path_touched_at.length;
  print('');
  if (touches === 0) {
    print('Path: no touch, so no credits.');
    return;
  }
  const omitted = stored.touches_omitted > 0 ? ` (${stored.touches_omitted} earlier ones are counted, not kept)` : '';
  const rows = stored.path_touched_at.map((at, i) => ({
    touch: String(i),
    touched_at: iso(at),
    row: stored.path_row_type[i] ?? stored.path_surface[i],
    rank: stored.path_row_rank[i],
    position: stored.path_position[i],
    impression: stored.path_impression_id[i],
    ...Object.fromEntries(
      policy.models.map(({ name }, m) => [name, percent(stored.path_weights[m * touches + i] / WEIGHT_UNITS)]),
    ),
  }));
  print(`Path and credits${omitted}:`, table(rows));
}

function percent(share: number): string {
  return share === 0 ? '-' : `${(share * 100).toFixed(share === 1 ? 0 : 1)}%`;
}

function candidateRow(candidate: Candidate): Record<string, string | number | null> {
  const { seen_at, surface, row_type, row_rank, position, source_of_play, source_of_discovery } = candidate;
  return {
    seen_at: iso(seen_at),
    row: row_type ?? surface,
    class: candidate.class,
    rank: row_rank,
    position,
    impression: candidate.impression_id,
    'as source of play': VERDICT_WORDS[source_of_play],
    'for discovery, by itself': VERDICT_WORDS[source_of_discovery],
  };
}

function asJson({ served, stored, policy, explanation, ...rest }: PlayExplanation): object {
  const touches = stored.path_touched_at.length;
  const path = stored.path_touched_at.map((at, i) => ({
    touched_at: iso(at),
    impression_id: stored.path_impression_id[i],
    surface: stored.path_surface[i],
    row_type: stored.path_row_type[i],
    row_id: stored.path_row_id[i],
    row_rank: stored.path_row_rank[i],
    position: stored.path_position[i],
    credits: Object.fromEntries(
      policy.models.map(({ name }, m) => [name, stored.path_weights[m * touches + i] / WEIGHT_UNITS]),
    ),
  }));
  const candidates = explanation?.candidates.map((candidate) => ({
    ...candidate,
    seen_at: iso(candidate.seen_at),
    source_of_play_words: VERDICT_WORDS[candidate.source_of_play],
    source_of_discovery_words: VERDICT_WORDS[candidate.source_of_discovery],
  }));
  const { orphan_token, touches_omitted } = stored;
  return {
    play: served,
    rule_words: RULE_WORDS[served.rule],
    orphan_token,
    path,
    touches_omitted,
    ...rest,
    candidates: candidates ?? null,
  };
}

function iso(at: string | number): string {
  return new Date(at).toISOString();
}
