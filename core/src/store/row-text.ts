/** id, token, type, node (null: this router), code, etime, ctime, data. */
export type RawRow = [number, string | null, string, string | null, number, number, number, string | null];

/** id, token, type, node (null: this router), code, etime, data, and for another node's row its epoch and id there. */
export type LogRow = [
  number,
  string | null,
  string,
  string | null,
  number,
  number,
  string | null,
  string | null,
  number | null,
];

/** A row of a page as JSON text; `self` is this router's id. */
export function rowText([id, token, type, node, code, etime, ctime, data]: RawRow, self: string): string {
  const names = `"token":${JSON.stringify(token ?? '')},"type":${JSON.stringify(type)},"node":${JSON.stringify(node ?? self)}`;
  return `{"id":${id},${names},"code":${code},"etime":${etime},"ctime":${ctime},"data":${data ?? 'null'}}`;
}

/** A row of this router's own log as JSON text; `self` is this router's id. */
export function logText([id, token, type, node, code, etime, data, epoch, originId]: LogRow, self: string): string {
  const origin = epoch === null ? '' : `,"origin":{"epoch":${JSON.stringify(epoch)},"id":${originId}}`;
  const names = `"token":${JSON.stringify(token ?? '')},"type":${JSON.stringify(type)},"node":${JSON.stringify(node ?? self)}`;
  return `{"id":${id},${names},"code":${code},"etime":${etime},"data":${data ?? 'null'}${origin}}`;
}
