/** Styles are built into a file beside the scripts. */
declare module '*.css';
