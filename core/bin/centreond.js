#!/usr/bin/env node
import { main } from '../bundle/centreond.js';

await main(process.argv);
