"""Settings: the published ones of each data set, and reports of all faults together."""

import pytest

from hrpro.config import check, config_names, load_config
from hrpro.errors import InputError

# docs/method.md, section 8
PUBLISHED = {
    "thumos": {"frames_per_sec": 25, "num_iters": 1000, "test_iter": 50, "batch_size": 16, "weight_decay": 5e-4,
               "lambdas": [0, .5, 1, 1], "rab_layers": 2, "max_epochs": 20, "batch_size2": 10, "lr": 1e-4, "lr2": 5e-5,
               "max_proposal": 1000, "class_thresh": .5, "tiou_thresholds": [.1, .2, .3, .4, .5, .6, .7]},
    "beoid": {"frames_per_sec": 30, "num_iters": 5000, "test_iter": 50, "batch_size": 16, "weight_decay": 5e-4,
              "lambdas": [0, .5, 1, 1], "rab_layers": 1, "max_epochs": 20, "batch_size2": 16, "lr2": 1e-5,
              "max_proposal": 1000, "class_thresh": .2, "tiou_thresholds": [.1, .2, .3, .4, .5, .6, .7]},
    "gtea": {"frames_per_sec": 15, "num_iters": 500, "test_iter": 10, "batch_size": 16, "weight_decay": 5e-4,
             "lambdas": [0, .5, 1, 1], "rab_layers": 1, "max_epochs": 20, "batch_size2": 5, "lr2": 2e-5,
             "max_proposal": 800, "class_thresh": .2, "tiou_thresholds": [.1, .2, .3, .4, .5, .6, .7]},
    "activitynet": {"frames_per_sec": 25, "num_iters": 5000, "test_iter": 500, "batch_size": 64, "weight_decay": 1e-3,
                    "lambdas": [.5, .5, 1, 1], "rab_layers": 2, "max_epochs": 20, "batch_size2": 40, "lr2": 5e-5,
                    "max_proposal": 200, "class_thresh": .5,
                    "tiou_thresholds": [.5, .55, .6, .65, .7, .75, .8, .85, .9, .95]},
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_settings(name):
    settings = load_config(name).to_dict()
    for key, value in PUBLISHED[name].items():
        assert settings[key] == pytest.approx(value), key
    assert settings["segment_frames_num"] == 16 and settings["num_segments"] == -1
    assert set(PUBLISHED) == set(config_names())


def test_faults_are_reported_together_with_the_nearest_name():
    with pytest.raises(InputError) as told:
        load_config("thumos", ["num_itres=3", "lr=fast", "noequals", "roi_size=7", "lr2=.inf", "dropout=2"])
    text = str(told.value)
    for part in ("'num_iters'", "'lr' is 'fast', but must be a number", "noequals: has no '='", "'lr2' is 'inf'",
                 "a finite number", "'dropout' is '2', but must be 0.99 or less"):
        assert part in text, part
    with pytest.raises(InputError, match="roi_size 7 is not a multiple of 6"):
        check({"roi_size": 7}, "here")
    with pytest.raises(InputError) as told:
        load_config("thumos", ["lr=fast", "task_info=" + 201 * "a"], seed=-4)
    for part in ("--set lr=fast: setting 'lr'", "--seed: setting 'seed' is '-4'", "cannot name a folder"):
        assert part in str(told.value), part
    with pytest.raises(InputError, match="Did you mean 'gtea'"):
        load_config("getea")


def test_settings_next_to_annotations_are_for_that_data_set(tmp_path, monkeypatch):
    root = tmp_path / "kitchen"
    root.mkdir()
    (root / "config.yaml").write_text("feature_dim: 512\n")
    assert load_config(root / "config.yaml").dataset == "THUMOS14"
    (root / "gt_full.json").touch()
    config = load_config(root / "config.yaml")
    assert (config.dataset, config.data_root) == ("kitchen", root)
    monkeypatch.chdir(root)
    assert load_config("config.yaml").dataset == "kitchen"
    assert load_config(root / "config.yaml", data_path="elsewhere").data_path == "elsewhere"
