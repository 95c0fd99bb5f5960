import 'reflect-metadata';
import { Plugin } from '@centreond/plugin-sdk';

/** Carries requests to the nodes that this router reaches. */
@Plugin({ type: 'proxy', title: 'Carries requests to pushed nodes and SSH nodes', instances: { pool: 2 } })
export default class ProxyPlugin {}
