// The S3 server of the tests, versitygw (Apache-2.0).
import { provideGoProgram } from './go.mjs';

/** Puts the server on the PATH; ends the process with a message where there is none and none can be built. */
export function provideS3Server() {
  provideGoProgram({
    name: 'versitygw',
    version: '1.8.0',
    title: 'the S3 server of the tests',
    module: 'github.com/versity/versitygw/cmd/versitygw',
    anyVersion: true,
  });
}
