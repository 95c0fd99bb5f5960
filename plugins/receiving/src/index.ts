// What plugins that receive files by SENDFILES share, and what its sender says to them.
export { codeOf, Folder, whyOf } from './folder.ts';
export { type LocalFile, LocalStore } from './local-store.ts';
export { Receiver, type ReceiverOptions } from './receiver.ts';
export { type Place, Roots, type RootWords, STAGING, shown } from './roots.ts';
export { Sftp, SftpRefusal } from './sftp.ts';
export { type RemoteFile, readBack, type SftpFile, SftpStore } from './sftp-store.ts';
export { type Found, type Store, StoreRefusal, type Wanted } from './store.ts';
export {
  CHUNK_BYTES,
  Chunk,
  Chunks,
  Close,
  Closed,
  ENTRIES_LIMIT,
  Entry,
  Open,
  Opened,
  type Refusal,
  Taken,
} from './wire.ts';
