import numpy as np
import pytest
import torch

from hrpro.models.snippet import SnippetModel
from hrpro.training.pseudo_labels import pseudo_labels
from hrpro.training.snippet_losses import SnippetTargets, snippet_losses


@pytest.fixture(scope="module")
def golden(reference):
    return np.load(reference / "stage1.npz")


def from_published(name: str, value: np.ndarray) -> torch.Tensor:
    """Reshape a weight of the published program to this project's shape: convolutions are linear layers here."""
    weight = torch.from_numpy(value)
    if name == "feature_embedding":
        return weight.permute(0, 2, 1).reshape(len(weight), -1)
    return weight.squeeze(-1) if weight.ndim == 3 else weight


def published_names(model):
    for name, _ in model.named_parameters():
        published = name.replace("feature_embedding.", "feature_embedding.0.")
        yield name, published, "feature_embedding" if "feature_embedding.weight" in name else ""


@pytest.fixture(scope="module")
def model(golden):
    model = SnippetModel(5, 64, reference_quirks=True).eval()
    state = {name: from_published(kind, golden[f"state:{published}"])
             for name, published, kind in published_names(model)}
    state["memory.prototypes"] = torch.from_numpy(golden["state:memory.proto_vectors"])[:, 0]
    model.load_state_dict(state)
    return model


@pytest.fixture(scope="module")
def output(golden, model):
    return model(torch.from_numpy(golden["x"])[0], [48])


@pytest.fixture(scope="module")
def targets(golden, output):
    points = golden["points"][0]
    action, background = pseudo_labels(output.background.detach().numpy(), points)
    return SnippetTargets(*map(torch.from_numpy, (points, action, background, golden["video_label"])))


def test_forward_matches_the_published_program(golden, output):
    np.testing.assert_allclose(output.fused.detach(), golden["cas_fused"][0], atol=1e-5)
    np.testing.assert_allclose(output.embedded.detach(), golden["embedded"][0], atol=1e-5)
    label = torch.from_numpy(golden["video_label"])
    scores = [output.video_score(8).detach(), output.video_score(8, label).detach()]
    assert min(np.abs(score.numpy() - golden["video_score"]).max() for score in scores) < 1e-5


def test_pseudo_labels_match_the_published_program(golden, targets):
    np.testing.assert_array_equal(targets.action, golden["pseudo_action"][0, :, :-1])
    np.testing.assert_array_equal(targets.background, golden["pseudo_background"][0])


def test_losses_gradients_and_memory_match_the_published_program(golden, model, output, targets):
    losses = snippet_losses(output, targets, model.memory, r_act=8, temperature=.1, reference_quirks=True)
    for name, published in (("video", "loss_vid"), ("action", "loss_frame"), ("background", "loss_frame_bkg"),
                            ("contrast", "loss_contrastive")):
        assert losses[name].item() == pytest.approx(float(golden[published]), abs=1e-5)
    total = sum(weight * loss for weight, loss in zip((0, .5, 1, 1), losses.values(), strict=True))
    assert total.item() == pytest.approx(float(golden["loss_total"]), abs=1e-5)
    model.zero_grad()
    total.backward()
    for name, published, kind in published_names(model):
        gradient = model.get_parameter(name).grad
        np.testing.assert_allclose(gradient, from_published(kind, golden[f"grad:{published}"]), atol=1e-5,
                                   err_msg=name)
    before = model.memory.prototypes.clone()
    model.memory.update(output.embedded, targets.action * targets.video_label[output.video], output.video)
    np.testing.assert_allclose(model.memory.prototypes, golden["memory_after"][:, 0], atol=1e-6)
    model.memory.prototypes.copy_(before)


@pytest.mark.parametrize("quirks", [True, False])
def test_packed_videos_do_not_affect_each_other(quirks):
    torch.manual_seed(0)
    model = SnippetModel(3, 16, heads=2, reference_quirks=quirks).eval()
    model.memory.prototypes.normal_()
    lengths = [7, 1, 20]
    features = torch.randn(sum(lengths), 16)
    together = model(features, lengths)
    for part, fused in zip(features.split(lengths), together.fused.split(lengths), strict=True):
        torch.testing.assert_close(model(part, [len(part)]).fused, fused, atol=1e-6, rtol=0)


@pytest.mark.parametrize("quirks", [True, False])
def test_losses_of_a_step_are_the_mean_over_its_videos(quirks):
    torch.manual_seed(1)
    model = SnippetModel(3, 16, heads=2, reference_quirks=quirks).eval()
    model.memory.prototypes.normal_()
    lengths = [12, 1, 30, 9]                            # the second has one snippet, the last has no point
    points = torch.zeros(sum(lengths), 3)
    points[[3, 8, 12, 20, 41], [0, 1, 2, 1, 1]] = 1
    label = torch.tensor([[1, 1, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0]], dtype=torch.float)
    features = torch.randn(sum(lengths), 16)

    def losses(features, points, label, lengths):
        output = model(features, lengths)
        made = pseudo_labels(output.background.detach().numpy(), points.numpy(), lengths, bkg_thresh=.5, act_thresh=.5)
        targets = SnippetTargets(points, *map(torch.from_numpy, made), label)
        return snippet_losses(output, targets, model.memory, r_act=8, temperature=.1, reference_quirks=quirks)

    together = losses(features, points, label, lengths)
    alone = [losses(part, mine, label[[index]], [len(part)])
             for index, (part, mine) in enumerate(zip(features.split(lengths), points.split(lengths), strict=True))]
    for name, value in together.items():
        assert torch.isfinite(value)
        expected = sum(loss[name] for loss in alone) / len(alone)
        torch.testing.assert_close(value, expected)
