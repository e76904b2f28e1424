import type { SurfaceClass } from '../../attribution/events.ts';

/** A row of a dataset: an impression, its label, and what was known just before it. Times are epoch milliseconds. */
export interface Example extends Features {
  profile_id: string;
  work_id: string;
  title_id: string;
  impression_id: string;
  event_time: number;
  label: 0 | 1;
  weight: number;
  matured: boolean;
  country: string;
  device_type: string;
  profile_type: string | null;
  page: string;
  row_type: string;
  surface_class: SurfaceClass;
  row_rank: number;
  position: number;
  hour_of_day: number;
  day_of_week: number;
}

/** What follows from the facts before the impression. */
export interface Features {
  impressions_24h: number;
  impressions_30d: number;
  seconds_since_impression: number | null;
  plays: number;
  qualified_plays: number;
  watched_ms: number;
  seconds_since_play: number | null;
  discovered_before: boolean;
}

/** A category is a text of which there are few: a dictionary in Arrow. */
export type ColumnType = 'text' | 'category' | 'time' | 'bool' | 'int8' | 'int32' | 'int64' | 'float64';

export interface Column {
  name: keyof Example;
  type: ColumnType;
  nullable: boolean;
  /** An id says which impression it is, a label what came of it; only features are known when it is shown. */
  role: 'id' | 'label' | 'feature';
  says: string;
}

const column = (
  role: Column['role'],
  name: keyof Example,
  type: ColumnType,
  says: string,
  nullable = false,
): Column => ({ name, type, nullable, role, says });

/** The columns of a dataset, in order. */
export const COLUMNS: readonly Column[] = [
  column('id', 'profile_id', 'text', 'who saw it'),
  column('id', 'work_id', 'text', 'the series of an episode, or the title itself'),
  column('id', 'title_id', 'text', 'what was shown'),
  column('id', 'impression_id', 'text', 'the event_id of the impression'),
  column('id', 'event_time', 'time', 'when it was seen'),
  column('label', 'label', 'int8', '1: it is credited; 0: no play followed'),
  column('label', 'weight', 'float64', 'how many impressions it stands for: 1, or of a sampled negative 1 / rate'),
  column('label', 'matured', 'bool', 'the label window had passed; always so where the label is 0'),
  column('feature', 'country', 'category', 'as the impression says'),
  column('feature', 'device_type', 'category', 'as the impression says'),
  column('feature', 'profile_type', 'category', 'as the impression says', true),
  column('feature', 'page', 'category', 'the surface that the row stood on'),
  column('feature', 'row_type', 'category', 'of the row'),
  column(
    'feature',
    'surface_class',
    'category',
    'what row type and surface are to discovery, by the policy of the day',
  ),
  column('feature', 'row_rank', 'int32', 'of the row on its page'),
  column('feature', 'position', 'int32', 'of the title in its row'),
  column('feature', 'hour_of_day', 'int8', 'UTC, 0 to 23'),
  column('feature', 'day_of_week', 'int8', 'UTC, 0 is Monday'),
  column('feature', 'impressions_24h', 'int32', 'of the work to the profile, in the 24 h before'),
  column('feature', 'impressions_30d', 'int32', 'of the work to the profile, in the 30 d before'),
  column('feature', 'seconds_since_impression', 'float64', 'since the last of these 30 d', true),
  column('feature', 'plays', 'int32', 'of the work by the profile so far'),
  column('feature', 'qualified_plays', 'int32', 'of these, as they stood then'),
  column('feature', 'watched_ms', 'int64', 'of the work by the profile so far'),
  column('feature', 'seconds_since_play', 'float64', 'since the last counted playback event of the work', true),
  column('feature', 'discovered_before', 'bool', 'there was a qualified play'),
];

/** The order of rows; texts by their bytes in UTF-8. It is total: an impression's id is unique in its profile. */
export const ROW_ORDER = ['bucket of profile_id', 'profile_id', 'work_id', 'event_time', 'impression_id'];

/** The columns with few texts, which are known before the rows. */
export const CATEGORIES = COLUMNS.filter(({ type }) => type === 'category').map(({ name }) => name);
