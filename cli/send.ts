import fs from 'node:fs';
import { Command, Option } from 'commander';
import { resolveAddresses } from '../local/addresses.ts';
import { checkKafka, createKafka } from '../platform/kafka.ts';
import { readSettings } from '../platform/settings.ts';
import { shutdownSignal } from '../platform/shutdown.ts';
import { COMPRESSIONS, sendLines, type Compression, type Input, type SendResult } from '../send/send.ts';
import { UsageError } from './failure.ts';
import { linesASecond } from './option-values.ts';
import { grouped, print, printJson, say } from './output.ts';
import { commandLog, PATIENCE } from './servers.ts';
import { startProgress } from './send-progress.ts';

interface Options {
  compression: Compression;
  rate?: number;
  json?: true;
}

/** So many of the lines that could not be sent are named. */
const NAMED_REFUSALS = 20;
const CHUNK_BYTES = 1024 * 1024;

/** `whence send`: publishes NDJSON to Kafka. */
export function sendCommand(): Command {
  return new Command('send')
    .description(
      'Publish lines of NDJSON to the Kafka topic of their "type", keyed by "profile_id" and stamped now. A line that cannot ' +
        'be routed goes as it is to the impression topic, where the stream keeps it as a dead letter with the reason.',
    )
    .argument('<file...>', 'NDJSON files, one JSON object a line; - is standard input')
    .addOption(
      new Option('--compression <codec>', 'of the records on Kafka').choices(Object.keys(COMPRESSIONS)).default('lz4'),
    )
    .option('--rate <n>', 'lines a second (default: as fast as it goes)', linesASecond)
    .option('--json', 'print the summary as JSON')
    .addHelpText(
      'after',
      `
Examples:
  npx whence send day.ndjson
  npx whence simulate --profiles 100 --rate 50 | npx whence send -
  gunzip -c events.ndjson.gz | npx whence send --rate 5000 -

The exit code is 0 only if every line was sent.`,
    )
    .action(send);
}

async function send(files: string[], options: Options): Promise<void> {
  const inputs = openableInputs(files);
  const settings = readSettings(process.env);
  const { kafka: address } = await resolveAddresses(settings, ['kafka'], say);
  const client = { ...address, clientId: 'whence-send', log: commandLog('send', settings) };
  await checkKafka(client);

  const started = performance.now();
  const progress = startProgress(inputs.reduce((sum, { size }) => sum + size, 0));
  const result = await sendLines({
    kafka: createKafka({ ...client, retry: PATIENCE }),
    inputs,
    impressionTopics: settings.impressionTopics,
    playbackTopics: settings.playbackTopics,
    compression: options.compression,
    signal: shutdownSignal(),
    ...(options.rate !== undefined && { rate: options.rate }),
    onProgress: progress.update,
  }).finally(progress.stop);
  const seconds = (performance.now() - started) / 1000;
  report(result, seconds, options.json ?? false);
  if (result.notSent.length > 0 || result.interrupted) process.exitCode = 1;
}

/** @throws UsageError that names every file that cannot be read */
function openableInputs(files: readonly string[]): (Input & { size: number })[] {
  const problems: string[] = [];
  if (files.filter((file) => file === '-').length > 1) problems.push('-: standard input can be read once only');
  const inputs = files.map((file) => {
    if (file === '-') return { name: 'standard input', size: NaN, open: () => process.stdin };
    return {
      name: file,
      size: sizeOf(file, problems),
      open: () => fs.createReadStream(file, { highWaterMark: CHUNK_BYTES }),
    };
  });
  if (problems.length > 0) throw new UsageError(`Nothing was sent:\n${problems.map((text) => `  ${text}`).join('\n')}`);
  return inputs;
}

/** NaN for a pipe, whose end nobody knows. */
function sizeOf(file: string, problems: string[]): number {
  try {
    fs.accessSync(file, fs.constants.R_OK);
    const stat = fs.statSync(file);
    if (stat.isDirectory()) problems.push(`${file}: is a folder, expected a file of NDJSON`);
    return stat.isFile() ? stat.size : NaN;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === 'ENOENT' ? 'there is no such file' : code === 'EACCES' ? 'may not be read' : message;
    problems.push(`${file}: ${reason}`);
    return NaN;
  }
}

function report(result: SendResult, seconds: number, json: boolean): void {
  const { sent, unroutable, empty, notSent, interrupted } = result;
  const total = Object.values(sent).reduce((sum, count) => sum + count, 0);
  const rate = Math.round(total / seconds);
  if (json) {
    printJson({
      sent,
      total,
      unroutable,
      empty,
      not_sent: notSent.map(({ source, bytes }) => ({ ...source, bytes })),
      interrupted,
      seconds,
      lines_per_second: rate,
    });
    return;
  }
  print(
    `${interrupted ? 'Interrupted: sent' : 'Sent'} ${grouped(total)} lines in ${seconds.toFixed(1)} s (${grouped(rate)} a second)`,
  );
  for (const [topic, count] of Object.entries(sent).sort()) print(`  ${topic}: ${grouped(count)}`);
  if (unroutable > 0) {
    print(
      `  of these ${grouped(unroutable)} could not be routed (no JSON object with a known "type" and a "profile_id"): dead letters to be`,
    );
  }
  if (empty > 0) print(`  ${grouped(empty)} empty lines skipped`);
  if (notSent.length === 0) return;
  print(`  not sent, because longer than the topic takes (its max.message.bytes): ${grouped(notSent.length)}`);
  for (const { source, bytes } of notSent.slice(0, NAMED_REFUSALS))
    print(`    ${source.input}:${source.line} (${grouped(bytes)} bytes)`);
  if (notSent.length > NAMED_REFUSALS) print('    …');
}
