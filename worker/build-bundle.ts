/** `npm run build`: makes the bundle of the workflows beforehand, for an image or a package. */
import { DefaultLogger } from '@temporalio/worker';
import { provideWorkflowBundle } from './workflow-bundle.ts';

process.stdout.write(`${await provideWorkflowBundle(new DefaultLogger('WARN'))}\n`);
