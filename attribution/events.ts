/**
 * The event contract, version 1: what a valid record is, once read.
 *
 * Field names are those of the wire format, so that an error can name the field as the producer knows it. After
 * validation, times are epoch milliseconds, and an optional field that is absent or null is `null`.
 */

/** The longest text of each sort, in UTF-16 code units. Ids are parts of index keys in Postgres, hence the bound. */
export const MAX_ID = 256;
export const MAX_TEXT = 4096;

export const SURFACE_CLASSES = ['discovery', 'continuation', 'intent', 'system'] as const;
/** What a row type or a surface is to discovery. */
export type SurfaceClass = (typeof SURFACE_CLASSES)[number];

/** In the order that decides between playback events of one time. */
export const ACTIONS = ['start', 'resume', 'heartbeat', 'pause', 'stop'] as const;
export type Action = (typeof ACTIONS)[number];

export const KINDS = ['main', 'trailer', 'preview'] as const;
export type Kind = (typeof KINDS)[number];

export const PROFILE_TYPES = ['standard', 'kids'] as const;
export type ProfileType = (typeof PROFILE_TYPES)[number];

/** A title that was really visible in a row at a position. Its id is `event_id`. */
export interface Impression {
  type: 'impression';
  event_id: string;
  /** Epoch milliseconds. */
  event_time: number;
  profile_id: string;
  country: string;
  device_type: string;
  page_view_id: string;
  /** The surface that the row stood on. */
  page: string;
  row_type: string;
  row_id: string;
  row_rank: number;
  position: number;
  title_id: string;
  series_id: string | null;
  /** What the server handed out with the tile; the client sends it back on play. */
  token: string | null;
  profile_type: ProfileType | null;
  /** Whatever the producer noted of the circumstances; it decides nothing, and is kept as it came. */
  context: Readonly<Record<string, unknown>> | null;
}

/** What a playback event says of how it was launched. */
export interface Origin {
  surface: string;
  row_type: string | null;
  row_id: string | null;
  row_rank: number | null;
  position: number | null;
  token: string | null;
  impression_id: string | null;
}

export interface Playback {
  type: 'playback';
  action: Action;
  event_id: string;
  /** Epoch milliseconds. */
  event_time: number;
  profile_id: string;
  country: string;
  device_type: string;
  playback_id: string;
  title_id: string;
  series_id: string | null;
  /** null: the event does not say. */
  kind: Kind | null;
  /** null: the event does not say. */
  muted_autoplay: boolean | null;
  position_ms: number | null;
  runtime_ms: number | null;
  profile_type: ProfileType | null;
  origin: Origin | null;
}

export type Event = Impression | Playback;
