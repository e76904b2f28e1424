#!/usr/bin/env node
// The command runs straight from the TypeScript sources: no build step that could be stale.
import { register } from 'tsx/esm/api';

register();
await import('./main.ts');
