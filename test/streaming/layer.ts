import { defaultPolicy } from '../../attribution/policy.ts';
import { silentLogger } from '../../platform/log.ts';
import { startSpeedLayer, type SpeedLayer, type SpeedLayerOptions } from '../../streaming/speed-layer.ts';
import type { World } from './world.ts';

/** The speed layer in this process, on a test's world. */
export function createSilentLayer(world: World, options: Partial<SpeedLayerOptions> = {}): Promise<SpeedLayer> {
  return startSpeedLayer({
    impressionTopics: [world.impressions],
    playbackTopics: [world.playback],
    brokers: (world.env.KAFKA_BROKERS ?? '').split(','),
    kafka: world.kafka,
    pool: world.pool,
    policy: defaultPolicy,
    log: silentLogger(),
    dlqTopic: world.dlq,
    ...options,
  });
}
