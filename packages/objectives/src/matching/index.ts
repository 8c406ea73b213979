export { estimatedLogPartition, type MovingMean, movingMean } from './partition.js';
