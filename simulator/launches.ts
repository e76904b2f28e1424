/** What a playback says of how it was launched: the `origin` as text, `,"origin":…` or nothing. */
import { ORIGINS } from './config.ts';
import type { Injected } from './ledger.ts';
import type { Tile } from './pages.ts';
import type { Random } from './random.ts';

export class Launches {
  private readonly random: Random;
  private readonly injected: Injected;

  constructor(random: Random, injected: Injected) {
    this.random = random;
    this.injected = injected;
  }

  /** From a tile. From a details page the surface is `details`, but the token is still that of the tile before. */
  fromTile(tile: Tile, surface: string = tile.place.page): string {
    const { random, injected } = this;
    const u = random.float();
    if (u < ORIGINS.none) return this.nothing();
    injected.launchedFrom(surface);
    const base = `"surface":"${surface}"`;
    const { page, rowType, rowId, rank } = tile.place;
    const row = `,"row_type":"${rowType}","row_id":"${rowId}","row_rank":${rank},"position":${tile.position}`;
    const place = surface === page ? row : '';
    const said = u - ORIGINS.none;
    const byId = said < ORIGINS.impressionId + ORIGINS.impressionIdAndToken;
    const byToken = said >= ORIGINS.impressionId && said < 1 - ORIGINS.none - ORIGINS.rowOnly && tile.token !== null;
    if (!byId && !byToken) {
      injected.launches_by_row_only++;
      const nulls = random.chance(0.3) ? ',"token":null,"impression_id":null' : '';
      return `,"origin":{${base}${place}${nulls}}`;
    }
    const orphan = random.chance(ORIGINS.orphan);
    if (orphan) injected.orphan_tokens++;
    if (byId) injected.launches_by_impression_id++;
    else injected.launches_by_token++;
    const token = byToken ? `,"token":"${orphan ? `t.${random.hex()}` : tile.token}"` : '';
    const id = byId ? `,"impression_id":"${orphan ? random.uuid() : tile.impressionId}"` : '';
    return `,"origin":{${base}${place}${token}${id}}`;
  }

  /** From somewhere without tiles: a deep link, a notification, a voice command, the next episode by itself. */
  fromSurface(surface: string): string {
    const { random, injected } = this;
    if (random.chance(ORIGINS.none)) return this.nothing();
    injected.launchedFrom(surface);
    injected.launches_by_row_only++;
    return random.chance(0.2)
      ? `,"origin":{"surface":"${surface}","row_type":null,"row_id":null,"row_rank":null,"position":null}`
      : `,"origin":{"surface":"${surface}"}`;
  }

  private nothing(): string {
    this.injected.launches_without_origin++;
    return this.random.chance(0.3) ? ',"origin":null' : '';
  }
}
