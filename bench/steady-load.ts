import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Producer } from 'kafkajs';
import { impression, playback } from '../test/core/samples.ts';

/** A piece of the load is sent each. */
const PIECE_MS = 20;
/** Whoever is behind catches up in pieces. */
const MOST_AT_ONCE = 500;
const PROFILES = 20_000;
const TITLES = 6_000;
const PLAYBACK_SHARE = 0.25;
/** One playback event in so many begins a play. */
const EVENTS_A_PLAY = 20;

/** Events of now at an even pace, from when it is made until it is stopped: so many a second. */
export class SteadyLoad {
  sent = 0;
  #stopped = false;
  readonly #producer: Producer;
  readonly #rate: number;
  readonly #done: Promise<void>;
  readonly #profiles = Array.from({ length: PROFILES }, () => randomUUID());
  readonly #playing = Array.from({ length: PROFILES / 10 }, () => this.#play());

  constructor(producer: Producer, rate: number) {
    this.#producer = producer;
    this.#rate = rate;
    this.#done = this.#run();
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#done;
  }

  async #run(): Promise<void> {
    const begun = Date.now();
    while (!this.#stopped) {
      const behind = Math.round(((Date.now() - begun) / 1000) * this.#rate) - this.sent;
      const due = Math.min(behind, MOST_AT_ONCE);
      const [impressions, playbacks]: { key: string; value: string }[][] = [[], []];
      for (let i = 0; i < due; i++) {
        const event = Math.random() < PLAYBACK_SHARE ? this.#heartbeat() : this.#impression();
        const to = event.type === 'playback' ? playbacks : impressions;
        to.push({ key: event.profile_id, value: JSON.stringify(event) });
      }
      await this.#producer.sendBatch({
        acks: 1,
        topicMessages: [
          { topic: 'impressions', messages: impressions },
          { topic: 'playback', messages: playbacks },
        ],
      });
      this.sent += due;
      await sleep(PIECE_MS);
    }
  }

  #impression() {
    return impression({
      ...this.#of(),
      event_id: randomUUID(),
      row_id: `row:${pick(50)}`,
      token: randomUUID().slice(0, 16),
    });
  }

  #heartbeat() {
    const which = pick(this.#playing.length);
    if (pick(EVENTS_A_PLAY) === 0) this.#playing[which] = this.#play();
    return playback({ ...this.#playing[which], action: 'heartbeat', event_id: randomUUID(), event_time: Date.now() });
  }

  #play() {
    return { ...this.#of(), playback_id: randomUUID() };
  }

  #of() {
    return {
      profile_id: this.#profiles[pick(PROFILES)],
      title_id: `title-${pick(TITLES)}`,
      series_id: null,
      event_time: Date.now(),
    };
  }
}

function pick(count: number): number {
  return Math.floor(Math.random() * count);
}
