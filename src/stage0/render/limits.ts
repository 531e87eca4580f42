/** How much of an image is unpacked. */
export { beyondLimit, checkRatio, defaultLimits, type ImageLimits } from '../../model/image-limits.ts';
