/** A Python with pyarrow, in a virtual environment of the user's cache. */

import path from 'node:path';
import { execa } from 'execa';
import { download, fetchOnce } from '../../../local/downloads.ts';

const PYARROW = 'pyarrow==21.0.0';

/**
 * Makes the environment where it is not there yet, once for all tests of this user.
 *
 * @returns the path of its python
 * @throws DownloadError where there is no Python 3 with venv, or no network: then nothing is proven, and the test fails
 */
export async function pythonWithArrow(): Promise<string> {
  const { stdout: version } = await execa('python3', ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])']);
  const name = `${PYARROW.replace('==', '-')}-python-${version}`;
  const folder = await fetchOnce(
    name,
    async (aside) => {
      const advice = 'install Python 3 with venv and pip, and check the network and the index that pip is set to use';
      await download('a Python environment', 'python3', ['-m', 'venv', aside], advice);
      const install = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-input', PYARROW];
      await download(PYARROW, path.join(aside, 'bin', 'python'), install, advice);
    },
    () => {},
  );
  return path.join(folder, 'bin', 'python');
}
