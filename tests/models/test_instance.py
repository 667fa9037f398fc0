import numpy as np
import pytest
import torch

from hrpro.models.instance import InstanceModel, refine, segment_iou


@pytest.fixture(scope="module")
def golden(reference):
    return np.load(reference / "stage2.npz")


@pytest.fixture(scope="module")
def model(golden):
    model = InstanceModel(64).eval()
    model.load_state_dict({name: torch.from_numpy(golden[f"state:bcr.{name}"]).squeeze(-1)
                           if golden[f"state:bcr.{name}"].ndim == 3 else torch.from_numpy(golden[f"state:bcr.{name}"])
                           for name in model.state_dict()})
    return model


def test_refinement_and_completeness_match_the_published_program(golden, model):
    from hrpro.training.stage2 import pool

    features, segments = torch.from_numpy(golden["features"]), torch.from_numpy(golden["proposals"][:, :2].copy())
    with torch.no_grad():
        completeness, offsets = model(pool(features, segments, 12))
        refined = refine(segments, offsets)
        again = model.completeness(pool(features, refined, 12))
    np.testing.assert_allclose(refined, golden["refined"][:, :2], atol=1e-5)
    np.testing.assert_allclose(completeness, golden["completeness"], atol=1e-5)
    np.testing.assert_allclose(again, golden["completeness_refined"], atol=1e-5)


#  0 1 2 3 4 5 6
#  [=======)          segment
#      [=======)      inter 2, union 6
#            [=)      apart
def test_iou_matches_hand_computed_values():
    others = torch.tensor([[[0., 4.], [2., 6.], [5., 6.], [0., 0.]]])
    torch.testing.assert_close(segment_iou(torch.tensor([[0., 4.]]), others), torch.tensor([[1., 1 / 3, 0., 0.]]))


def test_offsets_are_in_units_of_segment_length():
    moved = refine(torch.tensor([[2., 6.]]), torch.tensor([[-.25, .5]]))
    torch.testing.assert_close(moved, torch.tensor([[1., 8.]]))
