// The process of a plugin: an entry of the bundle, so that it reads few files.
import '@centreond/plugin-runtime/child';
