// How a window moves over an image (see Windows in image.py). At position o, element i of the window meets the pixel
//
//     o stride + i dilation - before
//
// where `before` is the padding above or to the left.

struct Windows {
    int height, width;  // of the image
    int positions_down, positions_across;
    int kernel_down, kernel_across;
    int stride_down, stride_across;
    int above, left;
    int dilation_down, dilation_across;
};

// The position at which element i meets a pixel, or -1.
__device__ inline int position(int pixel, int i, int stride, int dilation, int before, int positions) {
    int from = pixel + before - i * dilation;
    int at = stride == 1 ? from : from / stride;
    return from < 0 || at * stride != from || at >= positions ? -1 : at;
}
