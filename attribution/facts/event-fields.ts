import { KIND_CODES, MUTED_CODES } from '../derive.ts';
import { ACTIONS, type Event } from '../events.ts';
import { emptyBytes, type TextBytes } from './bytes.ts';

/** The texts of an event that are held or name something: where each stands in `EventFields`. */
export const TEXT = {
  eventId: 0,
  profileId: 1,
  titleId: 2,
  seriesId: 3,
  country: 4,
  deviceType: 5,
  playbackId: 6,
  /** Of an impression. */
  surface: 7,
  rowType: 8,
  rowId: 9,
  token: 10,
  /** Of the origin of a playback event. */
  originSurface: 11,
  originRowType: 12,
  originRowId: 13,
  originToken: 14,
  originImpressionId: 15,
} as const;
export type Text = (typeof TEXT)[keyof typeof TEXT];

const TEXTS = 16;
const encoder = new TextEncoder();

/**
 * What a fact keeps of a valid event, as places in bytes: its texts are looked up, compared and copied as the UTF-8 that
 * they came as, and no string is made of them. One such is filled again and again.
 */
export class EventFields {
  /** In which the texts stand. */
  bytes: Uint8Array = new Uint8Array(0);
  /** Of the same bytes. */
  view: DataView = new DataView(new ArrayBuffer(0));
  /** By `TEXT`: where it begins, -1 where there is none, and ends. */
  readonly begin = new Int32Array(TEXTS).fill(-1);
  readonly end = new Int32Array(TEXTS);
  isPlayback = false;
  /** Epoch milliseconds. */
  eventTime = 0;
  /** Of an impression. */
  rowRank = 0;
  position = 0;
  /** Index in `ACTIONS`. */
  action = 0;
  /** `KIND_CODES` */
  kind = 0;
  /** `MUTED_CODES` */
  muted = 0;
  /** Milliseconds; 0 where none is reported. */
  runtime = 0;
  hasOrigin = false;
  originRowRank: number | null = null;
  originPosition: number | null = null;
  #encoded = emptyBytes(4096);

  /** The record itself says that it is not of the main content. */
  get isExcluded(): boolean {
    if (!this.isPlayback) return false;
    return this.kind === KIND_CODES.trailer || this.kind === KIND_CODES.preview || this.muted === MUTED_CODES.yes;
  }

  /** The text that names the work: the series of an episode, or the title itself. */
  get work(): Text {
    return this.begin[TEXT.seriesId] >= 0 ? TEXT.seriesId : TEXT.titleId;
  }

  /** Fills it with a validated event. */
  set(event: Event): this {
    this.#open(this.#encoded);
    let used = 0;
    this.begin.fill(-1);
    const put = (text: Text, value: string | null) => {
      if (value === null) return;
      const { length } = this.bytes;
      if (used + value.length * 3 > length) {
        const grown = emptyBytes(Math.max(length * 2, used + value.length * 3));
        grown.bytes.set(this.bytes);
        this.#open((this.#encoded = grown));
      }
      this.begin[text] = used;
      used += encoder.encodeInto(value, this.bytes.subarray(used)).written;
      this.end[text] = used;
    };
    put(TEXT.eventId, event.event_id);
    put(TEXT.profileId, event.profile_id);
    put(TEXT.titleId, event.title_id);
    put(TEXT.seriesId, event.series_id);
    put(TEXT.country, event.country);
    put(TEXT.deviceType, event.device_type);
    this.eventTime = event.event_time;
    this.isPlayback = event.type === 'playback';
    if (event.type === 'impression') {
      put(TEXT.surface, event.page);
      put(TEXT.rowType, event.row_type);
      put(TEXT.rowId, event.row_id);
      put(TEXT.token, event.token);
      this.rowRank = event.row_rank;
      this.position = event.position;
      return this;
    }
    put(TEXT.playbackId, event.playback_id);
    this.action = ACTIONS.indexOf(event.action);
    this.kind = event.kind === null ? KIND_CODES.none : KIND_CODES[event.kind];
    const { muted_autoplay: muted, origin } = event;
    this.muted = muted === null ? MUTED_CODES.none : muted ? MUTED_CODES.yes : MUTED_CODES.no;
    this.runtime = event.runtime_ms ?? 0;
    this.hasOrigin = origin !== null;
    if (origin === null) return this;
    put(TEXT.originSurface, origin.surface);
    put(TEXT.originRowType, origin.row_type);
    put(TEXT.originRowId, origin.row_id);
    put(TEXT.originToken, origin.token);
    put(TEXT.originImpressionId, origin.impression_id);
    this.originRowRank = origin.row_rank;
    this.originPosition = origin.position;
    return this;
  }

  #open({ bytes, view }: TextBytes): void {
    this.bytes = bytes;
    this.view = view;
  }
}
