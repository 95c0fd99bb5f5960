/** ZMTP 3: what carries frames between the daemon, its clients and its plugins. For those alone; no interface for plugins. */
export { Engine, type EngineFault, type EngineHandlers, type EngineOptions } from './engine.ts';
export { type FrameFault, FrameReader, type FrameSink } from './frame-reader.ts';
export { GREETING, READY, type SocketType } from './wire.ts';
