"""Windows of all kinds, on small images."""

from miniae.backend.image import Windows, same_padding

WINDOWS = {
    "3x3": Windows((7, 6), (3, 3), (1, 1), ((1, 1), (1, 1))),
    "no padding": Windows((7, 6), (2, 3)),
    "1x1": Windows((4, 5), (1, 1)),
    "uneven": Windows((6, 7), (4, 2), (1, 1), ((1, 2), (0, 1))),
    "down by two": Windows((7, 6), (3, 3), (2, 1), ((1, 1), (1, 1))),
    "across by two": Windows((7, 6), (3, 2), (1, 2), ((0, 2), (1, 0))),
    "by two": Windows((7, 8), (3, 3), (2, 2), same_padding((7, 8), (3, 3), (2, 2))),
    "past the window": Windows((9, 8), (2, 2), (3, 5)),
    "padding wider than the window": Windows((3, 4), (2, 2), (1, 1), ((3, 2), (2, 4))),
    "padding wider than the window, below": Windows((4, 5), (2, 2), (1, 1), ((1, 4), (1, 1))),
    "padding as high as all that is seen": Windows((3, 2), (3, 2), (7, 2), ((4, 0), (0, 2))),
    "nothing but padding": Windows((1, 1), (2, 2), (2, 2), ((2, 3), (3, 2))),
    "one pixel": Windows((1, 1), (3, 3), (1, 1), ((1, 1), (1, 1))),
    "dilated": Windows((8, 7), (3, 2), (1, 1), ((2, 2), (1, 0)), (2, 3)),
    "whole image": Windows((5, 6), (5, 6)),
}
