"""The trainer's own tests: `python -m tests` in `training/`. Plain asserts, no data needed."""

import sys
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch

import augment
import card
import crops
import data
import evaluate
import export
import landmarks
import loop
import losses
import networks
import samples
import walkup
import warm


def people(count, each):
    return [data.Picture(f"{person}/{n}", f"s{person}") for person in range(count) for n in range(each)]


def test_reference_pairs_alternate_and_tell_the_truth():
    pictures = people(5, 4)
    pairs = data.reference_pairs(pictures, np.random.default_rng(1))
    assert [label for _, _, label in pairs] == [1, 0] * (5 * 3)
    assert all((pictures[a].subject == pictures[b].subject) == label for a, b, label in pairs)
    assert pairs[0][:2] == (0, 1)


def test_contrastive_loss_does_not_square_the_second_term():
    value = losses.contrastive(torch.tensor([0.5, 0.4, 3.0]), torch.tensor([1.0, 0.0, 0.0]))
    assert abs(value.item() - (0.25 + 0.6 + 0.0) / 3) < 1e-6


def test_hard_contrastive_takes_the_farthest_own_and_the_nearest_stranger():
    vectors = networks.normalised(torch.tensor([[1.0, 0], [0.8, 0.6], [0.6, 0.8]]))
    value = losses.hard_contrastive(vectors, torch.tensor([0, 0, 1]))
    own = (0.4 + 0.4 + 0.0) / 3  # squared distances; the third face is alone
    near = [1 - min(1, d) for d in (0.8**0.5, 0.08**0.5, 0.08**0.5)]
    assert abs(value.item() - (own + sum(near) / 3) / 2) < 1e-3


def test_margin_softmax_asks_more_of_the_own_identity():
    softmax = losses.MarginSoftmax(3, 4)
    vectors, labels = networks.normalised(torch.randn(2, 4)), torch.tensor([0, 2])
    assert softmax(vectors, labels) > softmax(vectors, labels, share=0.0)


def test_networks_keep_to_the_budget_and_the_reference_to_its_size():
    network = networks.DenseResidual()
    assert networks.parameters(network) <= 1_600_000
    assert networks.multiply_adds(network) <= 100_000_000
    assert networks.parameters(networks.Reference()) == 18_707_264


def test_onnx_gives_what_the_network_gives():
    for network in (networks.DenseResidual(blocks=(1, 2, 1), squeeze=16), networks.Reference(4)):
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.2)
                module.running_var.uniform_(0.5, 2)
        face = np.random.default_rng(2).random((1, 112, 92), np.float32)
        with torch.no_grad():
            expected = network.eval()(torch.from_numpy(face)[None]).numpy()
        got = evaluate.runner(export.onnx_of(network).SerializeToString())(face)
        assert np.abs(expected - got).max() < 1e-4


def test_rounded_weights_are_what_the_quantiser_keeps():
    network = networks.DenseResidual().eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.normal_(module.weight)
    face = torch.rand(1, 1, 112, 92)
    with torch.no_grad():
        plain = network(face)
        networks.round_weights(network)
        seen = network(face)
        networks.bake_rounding(network)
        assert torch.allclose(seen, network(face), atol=1e-6) and not torch.allclose(seen, plain, atol=1e-6)
    for layer in (network.stem, network.stages[1][2].first):
        weight, _ = export.folded(*layer)
        steps = weight / (np.abs(weight).reshape(len(weight), -1).max(1)[:, None, None, None] / 127)
        assert np.abs(steps - np.round(steps)).max() < 1e-3


def learned(blocks):
    """A network whose batch norms have seen something."""
    network = networks.DenseResidual(blocks=blocks).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.normal_(module.weight)
            torch.nn.init.normal_(module.bias)
    return network


def test_a_file_learns_on_as_the_network_that_it_was():
    old, faces = learned((1, 1, 2)), torch.rand(8, 1, 112, 92)
    with tempfile.TemporaryDirectory() as folder:
        onnx.save(export.onnx_of(old), f"{folder}/old.onnx")
        read = warm.from_onnx(f"{folder}/old.onnx")
    network = warm.grown(read, networks.DenseResidual(blocks=(1, 2, 2)))
    warm.settle(network, faces)
    with torch.no_grad():
        expected = old(faces)
        assert (network.eval()(faces) - expected).abs().max() < 1e-4
        assert (network.train()(faces) * expected).sum(1).min() > 0.99


def test_kept_weights_are_the_network_that_they_were():
    network, faces = learned((1, 2, 1)), torch.rand(4, 1, 112, 92)
    reader, other = torch.nn.Linear(128, 256, bias=False), torch.nn.Linear(128, 256, bias=False)
    again = networks.DenseResidual().eval()
    with tempfile.TemporaryDirectory() as folder:
        warm.keep(Path(folder) / "kept.npz", network, reader)
        warm.from_kept(Path(folder) / "kept.npz", again, other)
    with torch.no_grad():
        assert (network(faces) * again(faces)).sum(1).min() > 0.999
        assert torch.allclose(reader.weight, other.weight, atol=1e-3)


def test_strangers_nearer_than_the_teachers_see_them_cost_more():
    taught = torch.eye(2)
    apart, near = torch.eye(2), networks.normalised(torch.tensor([[1.0, 0.5], [0.5, 1.0]]))
    assert losses.imitation(taught, apart, taught, losses.Queue(4)) < 1e-6
    assert losses.imitation(taught, near, taught, losses.Queue(4)) > 0.5


def test_landmarks_give_back_how_a_face_lies():
    turn, place = 1.3 * np.exp(0.2j), 20 + 10j
    points = turn * (landmarks.TEMPLATE @ [1, 1j]) + place
    got = landmarks.similarity(np.stack([points.real, points.imag], 1))
    assert np.allclose(got, (turn, place))
    (x, y, w, h), roll = landmarks.crop(np.stack([points.real, points.imag], 1))
    middle = turn * landmarks.CENTRE + place
    assert np.allclose([x + w / 2, y + h / 2, w, h, roll], [middle.real, middle.imag, 1.3 * landmarks.WIDTH, 1.3 * landmarks.HEIGHT, 0.2])


def test_a_face_on_the_template_stays_where_it_is():
    picture = np.random.default_rng(5).integers(0, 256, (112, 112)).astype(np.uint8)
    assert (landmarks.aligned(picture, landmarks.TEMPLATE) == picture).all()


def test_the_rate_is_level_until_it_cools():
    assert loop.plateau(0, 1.0) < loop.plateau(199, 1.0) == loop.plateau(10**6, 1.0) == 1.0
    assert abs(loop.plateau(150, 1.0, cool_from=100, cool=100) - 0.5) < 1e-9


def test_rounded_weights_still_learn():
    layer = networks.Dense(6, 3)
    networks.round_weights(layer)
    layer(torch.ones(1, 6)).sum().backward()
    assert torch.equal(layer.weight.grad, torch.ones(3, 6))


def test_a_threshold_holds_its_rate_with_confidence():
    impostor = np.linspace(0.5, 1.5, 100_000)
    # 95 % upper bound of 80 in 100,000 is 9.7e-4, of 90 it is 1.07e-3 (Poisson: 97.4 and 107.2).
    matched = (impostor <= 1 - card.threshold_for(0.001, impostor)).sum()
    assert 80 <= matched < 90
    assert card.threshold_for(0.00003, impostor) is None


def test_plain_crop_and_unjittered_warp_agree():
    picture = np.random.default_rng(3).integers(0, 256, (200, 180)).astype(np.uint8)

    class Still:
        """Chance that never strikes."""

        def normal(self, mean, _deviation):
            return mean

        def random(self):
            return 1.0

    rectangle = (40, 50, crops.WIDTH, crops.HEIGHT)
    warped = augment.jittered(picture, rectangle, Still()).astype(int)
    assert np.abs(warped - crops.extract(picture, rectangle)).max() <= 1


def test_crop_outside_the_picture_repeats_its_edge():
    picture = np.full((10, 10), 7, np.uint8)
    assert (crops.extract(picture, (-20, -20, 50, 60)) == 7).all()


def test_crop_rule_is_centred_on_the_box():
    assert crops.CropRule(0.5, 2.0, 0.1, 0.0).rectangle((10, 20, 100, 100)) == (45.0, -30.0, 50.0, 200.0)


def test_a_portraits_person_is_central_but_not_a_speck():
    central, large, speck = (50, 50, 60, 60), (0, 0, 100, 100), (80, 80, 20, 20)
    assert crops.main_box([large, speck, central], 180, 180) == central
    assert crops.main_box([], 180, 180) is None


def test_trimming_keeps_the_face_where_it_was():
    picture = np.arange(250 * 250, dtype=np.uint32).reshape(250, 250)
    part, (x, y, _, _) = samples.trimmed(picture, (60.5, 70.25, 92, 112))
    assert part[int(y), int(x)] == picture[70, 60]


def test_epochs_are_strung_together_without_loss():
    seen = np.concatenate([loop.slice_of_epochs(10, 4, 1, step) for step in range(5)])
    assert sorted(seen) == sorted(list(range(10)) * 2)


def test_verdict_counts_an_undetected_pair_as_an_error():
    distances = np.array([0.1, 0.9] * 50)
    same = np.array([True, False] * 50)
    assert evaluate.verdict(distances, same)["accuracy"] == 1.0
    distances[0] = np.inf
    assert evaluate.verdict(distances, same)["accuracy"] == 0.99


def test_files_are_compared_pair_by_pair():
    same = np.array([True, False] * 50)
    right = np.array([0.1, 0.9] * 50)
    wrong = right.copy()
    wrong[:8:2] = 2.0
    told = evaluate.against(right, wrong, same)
    assert told == {"first_alone": 4, "other_alone": 0, "p": 0.125}
    assert evaluate.against(right, right, same)["p"] == 1.0


def test_no_face_clears_the_window():
    scores = [1.0] * 14 + [None] + [0.5] * 15
    assert walkup.window_means(scores) == [0.5]


if __name__ == "__main__":
    tests = {name: test for name, test in globals().items() if name.startswith("test_")}
    for name, test in tests.items():
        test()
        print(f"ok: {name[5:].replace('_', ' ')}")
    print(f"{len(tests)} tests")
    sys.exit(0)
