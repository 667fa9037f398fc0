"""Seconds, frames and snippets: the only place that multiplies by a frame rate."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class Timebase:
    """How a feature set samples time. It belongs to the features, not to the video (docs/method.md, section 1).

    Attributes:
        fps: frame rate at which the features were extracted, in frames per second.
        stride: frames from one snippet to the next.
        clip: frames that a snippet sees.
        offset: frame at which snippet 0 begins.
    """

    fps: float = 25.0
    stride: int = 16
    clip: int = 16
    offset: int = 0

    def snippets(self, seconds: ArrayLike) -> NDArray[np.float64]:
        """Seconds -> fractional snippet coordinate; snippet i covers [i, i + 1)."""
        return (np.asarray(seconds, np.float64) * self.fps - self.offset) / self.stride

    def seconds(self, snippets: ArrayLike) -> NDArray[np.float64]:
        """Fractional snippet coordinate -> seconds; inverse of `snippets`."""
        return (np.asarray(snippets, np.float64) * self.stride + self.offset) / self.fps

    def rows(self, seconds: ArrayLike, length: int | NDArray[np.intp]) -> NDArray[np.intp]:
        """Row of the snippet that contains each moment, clamped to 0 .. length - 1.

        1e-9 absorbs floating-point error at snippet boundaries.

        Args:
            seconds: moments.
            length: number of snippets, one for all moments or one for each.
        """
        row = np.floor(self.snippets(seconds) + 1e-9).astype(np.intp)
        return np.clip(row, 0, length - 1)

    def count(self, duration: float) -> int:
        """Number of snippets in a video of `duration` seconds: those whose stride ends inside it, at least one."""
        return max(1, int(self.snippets(duration) + 1e-9))


WHOLE = .1, .002                                        # frames and seconds by which a timestamp may miss its frame


def frame_to_seconds(frame: ArrayLike, fps: ArrayLike) -> NDArray[np.float64]:
    """Frame number, whole or fractional, at the video's own rate -> seconds."""
    return np.asarray(frame, np.float64) / np.asarray(fps, np.float64)


def frame_number(seconds: ArrayLike, fps: ArrayLike) -> NDArray[np.float64]:
    """Seconds -> frame number as stored in label files, so that number / fps is the moment.

    The number is whole if the moment is the start of a frame at a constant frame rate (containers round timestamps by
    up to a millisecond). Otherwise, as with a variable frame rate, it is the fraction seconds * fps: times are not
    rounded to the average rate.
    """
    seconds, fps = np.asarray(seconds, np.float64), np.asarray(fps, np.float64)
    exact = seconds * fps
    nearest = np.rint(exact)
    frames, stamp = WHOLE
    return np.where(np.abs(exact - nearest) <= np.minimum(frames, stamp * fps), nearest, exact)


def seconds_to_frame(seconds: ArrayLike, fps: ArrayLike) -> NDArray[np.int64]:
    """Seconds -> number of the frame on screen at that moment, for a constant frame rate."""
    return np.floor(np.asarray(seconds, np.float64) * np.asarray(fps, np.float64) + 1e-6).astype(np.int64)
