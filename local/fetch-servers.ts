import { findJava, kafkaClassPath } from './java.ts';
import { dockerAnswers, pullKafka } from './kafka-container.ts';
import { temporalCommand } from './temporal.ts';

/**
 * Downloads what local servers need and is not there yet. Whoever starts one would do it too; this is for those who start
 * many, or against the clock.
 *
 * @throws MissingPrerequisiteError, DownloadError
 */
export async function fetchServers(say: (line: string) => void): Promise<void> {
  const fetchKafka = async () => void (await kafkaClassPath(await findJava(say), say));
  await Promise.all([temporalCommand(say), (await dockerAnswers()) ? pullKafka(say) : fetchKafka()]);
}
