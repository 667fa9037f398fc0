import math

import numpy as np
import pytest
import torch

from hrpro.models.roi_align import roi_align_1d, roi_pool_1d


def plain_roi_align(features, start, end, bins):
    """torchvision's operator with aligned=False and adaptive sampling, sample by sample, zero outside."""
    length = len(features)

    def row(index):
        return features[index] if 0 <= index < length else np.zeros(features.shape[1])

    aligned = np.zeros((len(start), bins, features.shape[1]))
    for region, (begin, stop) in enumerate(zip(start - .5, end - .5, strict=True)):
        size = max(stop - begin, 1) / bins
        grid = math.ceil(size)
        for bin_ in range(bins):
            for sample in range(grid):
                position = begin + bin_ * size + (sample + .5) * size / grid
                below = math.floor(position)
                value = (below + 1 - position) * row(below) + (position - below) * row(below + 1)
                aligned[region, bin_] += value / grid
    return aligned


@pytest.fixture
def golden(reference):
    arrays = np.load(reference / "stage2.npz")
    return {name: torch.from_numpy(arrays[name]) for name in ("features", "proposals", "roi")}


def stretched(proposals):
    reach = (proposals[:, 1] - proposals[:, 0]) / 4
    return proposals[:, 0] - reach, proposals[:, 1] + reach


def test_roi_align_matches_the_published_program(golden):
    found = roi_align_1d(golden["features"], *stretched(golden["proposals"]))
    torch.testing.assert_close(found, golden["roi"], rtol=0, atol=1e-5)


def test_pooling_returns_the_maxima_of_left_centre_and_right(golden):
    found = roi_pool_1d(golden["features"], *stretched(golden["proposals"]))
    expected = [part.amax(dim=1) for part in golden["roi"].split([2, 8, 2], dim=1)]
    torch.testing.assert_close(found, torch.stack(expected, dim=1), rtol=0, atol=1e-5)


def test_region_of_two_snippets_in_four_bins_matches_hand_computed_values():
    """row centres      .5      1.5      2.5      3.5
    features           10       30       20       40
    region [1, 3)           |____|____|____|____|          bins of half a snippet, one sample in the middle of each
    samples                 1.25 1.75 2.25 2.75
    """
    features = torch.tensor([[10.], [30.], [20.], [40.]])
    found = roi_align_1d(features, torch.tensor([1.]), torch.tensor([3.]), bins=4)
    torch.testing.assert_close(found[0, :, 0], torch.tensor([25., 27.5, 22.5, 25.]))


def test_region_is_at_least_one_snippet_long():
    features = torch.tensor([[10.], [30.], [20.], [40.]])
    short = roi_align_1d(features, torch.tensor([1., 1., 1.]), torch.tensor([1., 1.5, .2]), bins=2)
    torch.testing.assert_close(short[:, :, 0], torch.tensor([[25., 27.5]] * 3))


def test_everything_outside_the_video_is_zero():
    """Video of four ones; regions of four snippets in two bins with two samples each, half a snippet from the edges."""
    start = torch.tensor([-2., -8, 2, 9, 1e9, -1e9])
    found = roi_align_1d(torch.ones(4, 1), start, start + 4, bins=2)
    torch.testing.assert_close(found[:, :, 0], torch.tensor([[0., 1], [0, 0], [1, 0], [0, 0], [0, 0], [0, 0]]))


def test_region_far_longer_than_the_video_is_cheap():
    found = roi_align_1d(torch.ones(4, 1), torch.tensor([-1e7]), torch.tensor([1e7]), bins=1)
    assert 0 < found.item() < 1e-5


@pytest.mark.parametrize("seed", range(4))
def test_roi_align_matches_a_plain_loop(seed):
    rng = np.random.default_rng(seed)
    length, width, regions = int(rng.integers(1, 90)), 3, 60
    features = rng.normal(size=(length, width))
    start = rng.uniform(-length, 2 * length, regions)
    end = start + rng.exponential(length, regions)
    arguments = (torch.from_numpy(array) for array in (features, start, end))
    found = roi_align_1d(*arguments).numpy()
    np.testing.assert_allclose(found, plain_roi_align(features, start, end, 12), atol=1e-9)


def test_output_buffer_and_chunks_do_not_change_the_result():
    features = torch.randn(300, 2048)
    start = torch.linspace(0, 280, 70)
    expected = torch.cat([roi_align_1d(features, start[row:row + 1], start[row:row + 1] + 20) for row in range(70)])
    out = torch.full((70, 12, 2048), torch.nan)
    assert roi_align_1d(features, start, start + 20, out=out) is out
    torch.testing.assert_close(out, expected)


def test_empty_input_and_half_precision_work():
    assert roi_align_1d(torch.ones(4, 8), torch.zeros(0), torch.zeros(0)).shape == (0, 12, 8)
    assert roi_pool_1d(torch.ones(4, 8), torch.zeros(0), torch.zeros(0)).shape == (0, 3, 8)
    found = roi_pool_1d(torch.ones(4, 8, dtype=torch.float16), torch.tensor([1.]), torch.tensor([3.]))
    assert found.dtype == torch.float16 and (found == 1).all()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_gpu_matches_cpu(golden):
    arguments = (golden["features"], *stretched(golden["proposals"]))
    for function in (roi_align_1d, roi_pool_1d):
        found = function(*(tensor.cuda() for tensor in arguments)).cpu()
        torch.testing.assert_close(found, function(*arguments), rtol=0, atol=1e-5)


def test_roi_align_matches_torchvision():
    ops = pytest.importorskip("torchvision.ops")
    features, start = torch.randn(40, 5), torch.rand(50) * 40
    end = start + torch.rand(50) * 30
    padded = torch.cat([torch.zeros(80, 5), features, torch.zeros(80, 5)])
    boxes = torch.stack([torch.zeros(50), start + 79.5, torch.ones(50), end + 79.5], dim=1)
    expected = ops.roi_align(padded.T[None, :, :, None], [boxes], [12, 1])[..., 0].transpose(1, 2)
    torch.testing.assert_close(roi_align_1d(features, start, end), expected, rtol=0, atol=1e-4)
