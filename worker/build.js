// `npm run build`: compiles the program and its workflows beforehand, for an image or a package.
import { launch } from '../cli/launch.js';

await launch('worker/build-bundle.ts');
